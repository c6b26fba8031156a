"""One completion: the body that the proxy's addresses take, in any of its protocols."""

from typing import Any

from common.errors import BadInput, ModelNotFound
from jobs.kinds.base import Kind, Part, kind, text_of
from proxy.request import Request
from proxy.routes import PAID
from usage.catalog import Catalog


@kind("completion", limit="JOB_COMPLETION_SECONDS")
class Completion(Kind):
    """``input`` is the body of a chat completion, of Anthropic's messages, or of OpenAI's
    Responses; the model and the body say which. The result is the provider's answer."""

    def parts(self, given: Any, catalog: Catalog) -> list[Part]:
        return [part_of(given, catalog)]

    def request(self, text: str, catalog: Catalog) -> Request:
        return read(text.encode(), catalog)


def part_of(given: Any, catalog: Catalog) -> Part:
    """A request's body as a part. Raises ``BadInput`` and ``ModelNotFound``."""
    if not isinstance(given, dict):
        raise BadInput("must be an object, the request's body.")
    text = text_of(given)
    return Part(text, read(text.encode(), catalog))


def read(raw: bytes, catalog: Catalog) -> Request:
    """A body as a request of whichever protocol it is in."""
    request = _parse(raw, catalog)
    if request.stream:
        raise BadInput("stream: a job's answer is not streamed.", param="stream")
    return request


def _parse(raw: bytes, catalog: Catalog) -> Request:
    if b'"messages"' not in raw and b'"input"' in raw:
        return PAID["/v1/responses"](raw, catalog, {})
    try:
        return PAID["/v1/chat/completions"](raw, catalog, {})
    except ModelNotFound:
        # Of Anthropic's models, or of none: then this says so.
        return PAID["/v1/messages"](raw, catalog, {})
