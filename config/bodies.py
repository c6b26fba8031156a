"""Bounds what Django reads of a request: its ASGI handler takes in a body whole, however long, and
writes it to a file, before any view can look at its length."""

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from common.errors import TooLarge, openai_shape
from common.ids import uuid7

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Application = Callable[..., Awaitable[None]]  # Django types its handler in another way


class BoundedBodies:
    """``app``, with bodies of at most ``most`` bytes; of fewer at the paths in ``less``, and
    beneath those of them that end in a slash; of as many as ``forms`` says at its paths, if they
    are forms that may hold files.

    A body whose length is said before is refused unread, one sent in chunks where it passes the
    bound. The connection is closed then, since what is left of the body would be read as the next
    request.
    """

    def __init__(
        self,
        app: Application,
        *,
        most: int,
        less: Mapping[str, int],
        forms: Mapping[str, int] | None = None,
    ) -> None:
        self.app = app
        self.most = most
        self.less = less
        self.forms = forms or {}
        self.beneath = tuple((path, at_most) for path, at_most in less.items() if path[-1] == "/")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        most = self._most(scope["path"])
        if (form := self.forms.get(scope["path"])) is not None and _is_form(scope):
            most = form
        if _declared(scope) > most:
            await _refuse(most, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            # To Django it is as if the client had left: it gives up without an answer.
            return {"type": "http.disconnect"} if taken > most else message

        await self.app(scope, bounded, send)
        if taken > most:
            await _refuse(most, send)

    def _most(self, path: str) -> int:
        for start, at_most in self.beneath:
            if path.startswith(start):
                return at_most
        return self.less.get(path, self.most)


def _is_form(scope: Message) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return scope["method"] == "POST" and all(
        kind.strip().lower().startswith(b"multipart/form-data") for kind in kinds or [b""]
    )


def _declared(scope: Message) -> int:
    """The length a request says it has; 0 when it says none that can be."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:18])
    return 0


async def _refuse(most: int, send: Send) -> None:
    error = TooLarge(f"The request is larger than {most} bytes, the most there can be here.")
    body = json.dumps(openai_shape(error)).encode()
    await send(
        {
            "type": "http.response.start",
            "status": error.status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
                (b"x-request-id", str(uuid7()).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
