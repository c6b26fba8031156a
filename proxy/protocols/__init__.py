"""What differs between the protocols the proxy speaks. Everything else is the same code."""

from proxy.protocols.base import Protocol
from proxy.protocols.chat import CHAT
from proxy.protocols.embeddings import EMBEDDINGS
from proxy.protocols.images import IMAGES
from proxy.protocols.messages import MESSAGES
from proxy.protocols.responses import RESPONSES
from proxy.protocols.transcription import TRANSCRIPTION

__all__ = ["CHAT", "EMBEDDINGS", "IMAGES", "MESSAGES", "RESPONSES", "TRANSCRIPTION", "Protocol"]
