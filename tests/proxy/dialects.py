"""The two protocols as a plain HTTP client speaks them, and the error contract in each."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.proxy.server import Farebox

# promises.md: status -> (OpenAI's type, OpenAI's code, Anthropic's type)
CONTRACT = {
    400: ("invalid_request_error", "bad_request", "invalid_request_error"),
    401: ("invalid_request_error", "invalid_api_key", "authentication_error"),
    402: ("insufficient_quota", "insufficient_credits", "billing_error"),
    403: ("invalid_request_error", "permission_denied", "permission_error"),
    404: ("invalid_request_error", "model_not_found", "not_found_error"),
    413: ("invalid_request_error", "request_too_large", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
    502: ("server_error", "upstream_error", "api_error"),
    503: ("server_error", "unavailable", "overloaded_error"),
    504: ("server_error", "upstream_timeout", "timeout_error"),
}


@dataclass(frozen=True)
class Reply:
    """An answer as it came. ``whole``: its body had a proper end."""

    status: int
    headers: httpx.Headers
    body: bytes
    whole: bool

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        """The data of a stream's events: JSON parsed, ``[DONE]`` as it is."""
        found = []
        for line in self.body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"):
            if line.startswith(b"data:"):
                text = line[5:].strip()
                found.append("[DONE]" if text == b"[DONE]" else json.loads(text))
        return found

    def everything(self) -> str:
        """All a client can see, for a search."""
        return f"{self.status} {self.headers.raw!r} {self.body!r}"


@dataclass(frozen=True)
class Dialect:
    """One protocol: where it is, a model with a price, and how its answers read."""

    name: str
    path: str
    model: str
    key_header: str
    id_header: str
    required: Mapping[str, Any] = field(hash=False)

    def __str__(self) -> str:
        return self.name

    def body(self, words: str = "Hello", *, stream: bool = False, **more: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": words}]
        body = {"model": self.model, "messages": messages, **self.required, **more}
        return body | {"stream": True} if stream else body

    def headers(self, key: str) -> dict[str, str]:
        value = f"Bearer {key}" if self.key_header == "authorization" else key
        return {self.key_header: value, "content-type": "application/json"}

    def ask(
        self,
        farebox: Farebox,
        key: str,
        body: Any = None,
        *,
        content: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30,
        **more: Any,
    ) -> Reply:
        """POST a body (made of ``more`` when none is given) and read all there is of the answer."""
        if content is None:
            content = json.dumps(self.body(**more) if body is None else body).encode()
        return post(farebox, self.path, content, {**self.headers(key), **(headers or {})}, timeout)

    def text(self, reply: Reply) -> str:
        """The text of an answer, streamed or plain."""
        if not reply.headers["content-type"].startswith("text/event-stream"):
            answer = reply.json
            if self.name == "openai":
                return str(answer["choices"][0]["message"]["content"])
            return "".join(block.get("text", "") for block in answer["content"])
        return "".join(self._delta(event) for event in reply.events)

    def _delta(self, event: Any) -> str:
        if not isinstance(event, dict):
            return ""
        if self.name == "openai":
            return "".join(c["delta"].get("content") or "" for c in event.get("choices", ()))
        return str(event.get("delta", {}).get("text", ""))

    def ended(self, reply: Reply) -> bool:
        """Whether the protocol's end mark is there."""
        if self.name == "openai":
            return "[DONE]" in reply.events
        return any(event.get("type") == "message_stop" for event in reply.events)

    def last_words(self, reply: Reply) -> Mapping[str, Any]:
        """The error that a broken stream ends with, after a check of its form."""
        event = reply.events[-1]
        if self.name == "anthropic":
            assert b"event: error\ndata: " in reply.body
            assert event["type"] == "error"
        assert set(event["error"]) >= {"type", "message"}
        return dict(event["error"])

    def assert_refused(
        self, reply: Reply, status: int, *, code: str | None = None, param: str | None = None
    ) -> str:
        """The contract's error, in this protocol; answers its message."""
        kind, usual, anthropic_kind = CONTRACT[status]
        body = reply.json
        if self.name == "openai":
            assert reply.status == status, reply.body
            assert set(body) == {"error"}
            assert set(body["error"]) == {"message", "type", "param", "code"}
            assert (body["error"]["type"], body["error"]["code"]) == (kind, code or usual)
            if param is not None:
                assert body["error"]["param"] == param
        else:
            assert reply.status in ({503, 529} if status == 503 else {status}), reply.body
            assert set(body) == {"type", "error", "request_id"}
            assert body["type"] == "error"
            assert set(body["error"]) == {"type", "message"}
            assert body["error"]["type"] == anthropic_kind
            assert body["request_id"] == reply.headers["request-id"]
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers[self.id_header]
        assert body["error"]["message"]
        return str(body["error"]["message"])


OPENAI = Dialect(
    "openai", "/v1/chat/completions", "gpt-4o-mini", "authorization", "x-request-id", {}
)
ANTHROPIC = Dialect(
    "anthropic", "/v1/messages", "claude-sonnet-4-5", "x-api-key", "request-id",
    {"max_tokens": 1_000},
)  # fmt: skip
BOTH = (OPENAI, ANTHROPIC)


def post(
    farebox: Farebox,
    path: str,
    content: bytes | Iterable[bytes],
    headers: Mapping[str, str],
    timeout: float = 30,
) -> Reply:
    """POST bytes and read all there is of the answer; a broken one is not whole."""
    got, whole = b"", True
    with (
        httpx.Client(timeout=timeout, trust_env=False) as client,
        client.stream("POST", farebox.url + path, content=content, headers=headers) as response,
    ):
        try:
            for part in response.iter_raw():
                got += part
        except (httpx.RemoteProtocolError, httpx.ReadError):
            whole = False
        return Reply(response.status_code, response.headers, got, whole)
