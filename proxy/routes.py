"""Where calls are paid, and how each address reads what is asked."""

from collections.abc import Callable, Mapping
from functools import partial

from proxy import ai_proxy
from proxy.protocols import CHAT, EMBEDDINGS, MESSAGES, RESPONSES
from proxy.request import Request, parse
from usage.catalog import Catalog

# (body, catalog, headers): raises ``BadInput`` naming the field, and ``ModelNotFound``.
Read = Callable[[bytes, Catalog, Mapping[bytes, bytes]], Request]

PAID: Mapping[str, Read] = {
    "/v1/chat/completions": partial(parse, CHAT),
    "/v1/responses": partial(parse, RESPONSES),
    "/v1/embeddings": partial(parse, EMBEDDINGS),
    "/v1/messages": partial(parse, MESSAGES),
    "/ai-proxy": ai_proxy.parse,
}
