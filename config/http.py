"""uvicorn's HTTP protocol, with errors of its own in the error contract's shape.

What the parser refuses (a bare CR or LF in a header, say) never reaches the application.
"""

from uuid import UUID

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common.errors import BadInput
from common.ids import uuid7
from proxy import errors


class HttpProtocol(HttpToolsProtocol):
    """Run as ``uvicorn --http config.http:HttpProtocol``."""

    def on_message_begin(self) -> None:
        """Give the application a way to drop a client that does not read: closing would wait for
        it to take what is buffered."""
        super().on_message_begin()
        self.scope["extensions"] = {"farebox.abort": {"abort": self.transport.abort}}

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP, and close."""
        self.transport.write(_bad_request(self.url or b"", uuid7()))
        self.transport.close()


def _bad_request(url: bytes, request_id: UUID) -> bytes:
    protocol = "anthropic" if url.startswith(b"/v1/messages") else "openai"
    error = BadInput("The request is not valid HTTP: look for a line break inside a header.")
    body = errors.body(error, protocol, str(request_id))
    id_header = b"request-id" if protocol == "anthropic" else b"x-request-id"
    return b"\r\n".join(
        (
            b"HTTP/1.1 400 Bad Request",
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            id_header + b": " + str(request_id).encode(),
            b"connection: close",
            b"",
            body,
        )
    )
