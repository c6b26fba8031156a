"""Reading usage out of answers, one module a protocol. Pure: no database, no network, nothing
kept of the text.

A meter is fed whole events. While they pass it counts the bytes of generated text by a regular
expression, which costs a fraction of parsing them; only an event that speaks of usage or of an
error is parsed. What a provider says of usage is exact; while it has said nothing, the text's
bytes are what an estimate is made of.
"""

from proxy.meter.base import Meter
from proxy.meter.chat import ChatMeter
from proxy.meter.embeddings import EmbeddingsMeter
from proxy.meter.images import ImagesMeter
from proxy.meter.messages import MessagesMeter
from proxy.meter.responses import ResponsesMeter
from proxy.meter.transcription import TranscriptionMeter

__all__ = [
    "ChatMeter",
    "EmbeddingsMeter",
    "ImagesMeter",
    "MessagesMeter",
    "Meter",
    "ResponsesMeter",
    "TranscriptionMeter",
]
