"""What a file of sound is told to be: never less than a provider may hear in it."""

import io
import struct

import pytest

from jobs import audio
from proxy.protocols.transcription import Audio
from tests.jobs.sounds import wav

RATE = 8_000
SAMPLES = bytes(20 * RATE)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def form(rate: int) -> bytes:
    """Samples of one byte, so many a second."""
    return chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, rate, 1, 8))


def look(*chunks: bytes) -> Audio:
    body = b"WAVE" + b"".join(chunks)
    file = chunk(b"RIFF", body)
    found = audio.look(io.BytesIO(file), len(file))
    assert found is not None
    return found


@pytest.mark.parametrize("before", [b"", chunk(b"LIST", b"odd"), chunk(b"JUNK", bytes(28)) * 9])
def test_the_length_of_plain_samples_is_known(before: bytes) -> None:
    found = look(before, form(RATE), chunk(b"data", SAMPLES))
    assert found.type == "wav"
    assert found.seconds == 21  # all its bytes
    assert audio.look(io.BytesIO(wav(20)), len(wav(20))) == Audio("wav", len(wav(20)), 21)


@pytest.mark.parametrize(
    "chunks",
    [
        # Readers differ in which of two they believe: ffmpeg takes the first, Python the last.
        (form(RATE), form(1000 * RATE)),
        (form(1000 * RATE), form(RATE)),
        # To look at millions of them takes longer than a request may.
        (chunk(b"JUNK", b"") * 100, form(RATE)),
        (),
    ],
    ids=["slow, then fast", "fast, then slow", "much before it", "none"],
)
def test_of_other_files_it_is_not(chunks: tuple[bytes, ...]) -> None:
    found = look(*chunks, chunk(b"data", SAMPLES))
    assert (found.seconds, found.most_tokens) == (None, None)
