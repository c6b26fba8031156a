"""What browsers complain of, which a page must give them no reason for."""

from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError


class Complaints:
    """Watches windows: errors in their consoles (what the content security policy refused is one),
    exceptions of their scripts, files that did not load, answers 5xx."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._expected: list[str] = []
        self._pardoned: list[str] = []

    def watch(self, context: BrowserContext) -> None:
        for event, listener in self._listeners():
            context.on(event, listener)

    def leave(self, context: BrowserContext) -> None:
        """Watch it no longer."""
        for event, listener in self._listeners():
            context.remove_listener(event, listener)

    def _listeners(self) -> list[tuple[Any, Callable[[Any], None]]]:
        return [
            ("console", self._console),
            ("weberror", self._error),
            ("response", self._response),
            ("requestfailed", self._failed),
        ]

    def expect(self, words: str) -> None:
        """Let pass what contains these words. There must be some of it."""
        self._expected.append(words)

    def pardon(self, words: str) -> None:
        """The same, where there may be none of it."""
        self._pardoned.append(words)

    def assert_none(self) -> None:
        for words in self._expected:
            assert any(words in one for one in self.heard), f"not heard: {words}"
        let_pass = self._expected + self._pardoned
        left = [one for one in self.heard if not any(words in one for words in let_pass)]
        assert not left, "\n".join(left)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            place = message.location
            self.heard.append(f"console: {message.text} ({place.get('url', '')})")

    def _error(self, error: WebError) -> None:
        self.heard.append(f"exception: {error.error}")

    def _response(self, response: Response) -> None:
        if response.status >= 500:
            self.heard.append(f"answer {response.status}: {response.url}")

    def _failed(self, request: Request) -> None:
        # A window that closes or moves on breaks off what it was loading; that is no fault.
        if request.failure != "net::ERR_ABORTED":
            self.heard.append(f"not loaded: {request.url}: {request.failure}")
