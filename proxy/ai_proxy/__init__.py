"""``POST /ai-proxy``: one request and one answer for every model (``docs/ai-proxy.md``).

asked      what may be asked, checked
chat       to a chat completion, and back from one
messages   to Anthropic's messages, and back
telling    the events the client gets
"""

from collections.abc import Mapping

from common.errors import BadInput, ModelNotFound
from proxy.ai_proxy import chat, messages
from proxy.ai_proxy.asked import LIMIT, Asked, read
from proxy.request import Request, bound, load, most_output, name_of
from usage.catalog import Catalog, PricedModel

__all__ = ["parse"]


def parse(raw: bytes, catalog: Catalog, headers: Mapping[bytes, bytes] | None = None) -> Request:
    """Read a request, and put it in the protocol that its model speaks.

    Raises ``BadInput`` naming the field as the client wrote it, and ``ModelNotFound``.
    """
    body = load(raw)
    name = name_of(body)
    asked = read(body)
    try:
        model = catalog.find(name, chat.PROTOCOL.name)
    except ModelNotFound:
        # Of Anthropic's models, or of none: then this says so.
        model = catalog.find(name, messages.PROTOCOL.name)
        _check_bound(asked, model)
        return bound({"model": name, **messages.request(asked)}, messages.PROTOCOL, model)
    _check_bound(asked, model)
    return bound({"model": name, **chat.request(asked)}, chat.PROTOCOL, model)


def _check_bound(asked: Asked, model: PricedModel) -> None:
    most = most_output(model)
    if asked.numbers.get("max_tokens", 1) > most:
        raise BadInput(f"{LIMIT}: must be a whole number between 1 and {most}.", param=LIMIT)
