"""The kinds of jobs: what each takes, and what is asked of a provider for it.

base           what a kind is, and the decorator that registers one
noop           nothing, at no cost: to try queue, socket and webhook
completion     one chat completion, message or response
batch          many of those in one job
image          generated images
transcription  the text of an uploaded file of sound
"""

from jobs.kinds import batch, completion, image, noop, transcription
from jobs.kinds.base import KINDS, FileKind, Kind, Part

__all__ = [
    "KINDS",
    "FileKind",
    "Kind",
    "Part",
    "batch",
    "completion",
    "image",
    "noop",
    "transcription",
]
