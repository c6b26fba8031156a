"""Telling what a file of sound is by its bytes, whatever its name says."""

import wave
from typing import IO

from proxy.protocols.transcription import Audio

_HEAD = 64
_ID3 = 10
_CHUNKS = 64  # before the samples; each is a step of a loop, and files have a handful
# The major brands of MP4 that hold sound or film; pictures come in the same form.
_MP4 = {
    b"M4A ", b"M4B ", b"M4V ", b"MSNV", b"avc1", b"dash", b"isom", b"iso2", b"iso3", b"iso4",
    b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"mp41", b"mp42", b"mp71",
}  # fmt: skip


def look(file: IO[bytes], size: int) -> Audio | None:
    """What a file of ``size`` bytes is; ``None`` when it is none of what can be transcribed."""
    kind = _kind(file)
    if kind is None:
        return None
    return Audio(kind, size, _seconds(file, size) if kind == "wav" else None)


def _kind(file: IO[bytes]) -> str | None:
    head = _read(file, 0, _HEAD)
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"OggS"):
        return "ogg"
    if head.startswith(b"RIFF") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"\x1aE\xdf\xa3") and b"webm" in head:
        return "webm"
    if head[4:8] == b"ftyp" and head[8:12] in _MP4:
        return "m4a" if head[8:12] == b"M4A " else "mp4"
    if head.startswith(b"\0\0\x01\xba"):
        return "mpeg"
    return "mp3" if _is_mp3(file, head) else None


def _is_mp3(file: IO[bytes], head: bytes) -> bool:
    """Frames of MPEG's layer II or III, after an ID3 tag perhaps."""
    place = 0
    if head.startswith(b"ID3") and len(head) >= _ID3:
        place = _ID3 + sum((byte & 0x7F) << 7 * n for n, byte in enumerate(head[9:5:-1]))
    return _is_frame(_read(file, place, 4))


def _is_frame(head: bytes) -> bool:
    """Whether four bytes are the head of a frame (ISO/IEC 11172-3, 2.4.1.3)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return False
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, frequency = head[2] >> 4, head[2] >> 2 & 3
    # Free formats, of rate 0, say nothing of how many bytes a second has.
    return version != 1 and layer in {1, 2} and 0 < rate < 15 and frequency != 3


def _seconds(file: IO[bytes], size: int) -> int | None:
    """How long a WAV file plays at most, if its samples are plain: all its bytes taken for them,
    since what it says of its length need not be so."""
    if not _has_one_format(file):
        return None
    file.seek(0)
    try:
        with wave.open(file) as found:
            rate = found.getframerate() * found.getnchannels() * found.getsampwidth()
    except (wave.Error, EOFError):
        return None
    return -(-size // rate) if rate > 0 else None


def _has_one_format(file: IO[bytes]) -> bool:
    """Whether one chunk alone tells the form of a WAV file's samples: of two, ``wave`` believes the
    last and other readers the first, for which the file may play a thousand times as long."""
    place, formats = 12, 0
    for _ in range(_CHUNKS):
        head = _read(file, place, 8)
        if head[:4] == b"data" or len(head) < 8:
            return formats == 1
        formats += head[:4] == b"fmt "
        size = int.from_bytes(head[4:], "little")
        place += 8 + size + size % 2
    return False


def _read(file: IO[bytes], place: int, count: int) -> bytes:
    file.seek(place)
    return file.read(count)
