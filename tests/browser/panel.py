"""An extension's panel as a test drives it: its functions, the windows it opens, its socket."""

import time
from collections.abc import Callable
from typing import Any

from playwright.sync_api import BrowserContext, Error, Page

from tests.browser import steps
from tests.browser.complaints import Complaints
from tests.browser.site import Site

# Starts a function without waiting for it, and keeps how it ended.
START = """([name, args]) => {
    window.outcome = null
    window.panel[name](...args).then(
        (value) => { window.outcome = { value } },
        (error) => { window.outcome = { error: String(error) } },
    )
}"""
# Asks in the page, which costs no way there and back each time; answers whether it came true.
WAIT = """async (milliseconds) => {
    const end = performance.now() + milliseconds
    while (!(%s)) {
        if (performance.now() > end) return false
        await new Promise((done) => setTimeout(done, 20))
    }
    return true
}"""


class Panel:
    """``panel.html`` of the extension ``name``, opened as a page."""

    def __init__(
        self, context: BrowserContext, name: str, site: Site, complaints: Complaints
    ) -> None:
        self.context = context
        self.complaints = complaints
        self.page = context.new_page()
        self._known: set[Page] = set()
        self.page.goto(f"chrome-extension://{name}/panel.html?server={site.url}")
        self._wait("window.panel")
        self.page.evaluate("chrome.storage.session.clear()")

    def _wait(self, expression: str, seconds: float = 60) -> None:
        # An extension's pages may not evaluate text, so Playwright's own wait does not work there.
        came = self.page.evaluate(WAIT % expression, seconds * 1_000)
        assert came, f"not within {seconds} s: {expression}"

    def run(self, name: str, *arguments: Any) -> Any:
        """Call a function of the panel and wait for its result."""
        return self.page.evaluate(
            "([name, args]) => window.panel[name](...args)", [name, list(arguments)]
        )

    def fails(self, name: str, *arguments: Any) -> str:
        """The same, for one that must not succeed; answers why."""
        try:
            result = self.run(name, *arguments)
        except Error as error:
            return str(error)
        raise AssertionError(f"{name} answered {result}")

    # What needs a person in between.

    def start(self, name: str, *arguments: Any) -> None:
        self._known = set(self.context.pages)
        self.page.evaluate(START, [name, list(arguments)])

    def popup(self) -> Page:
        """The window that the function has opened."""
        opened = [page for page in self.context.pages if page not in self._known]
        (popup,) = opened or [self.context.wait_for_event("page")]
        popup.wait_for_url(lambda url: url.startswith("http"))
        return popup

    def outcome(self) -> dict[str, Any]:
        self._wait("window.outcome")
        return dict(self.page.evaluate("window.outcome"))

    def succeeded(self) -> Any:
        outcome = self.outcome()
        assert "value" in outcome, outcome
        return outcome["value"]

    def failed(self) -> str:
        outcome = self.outcome()
        assert "error" in outcome, outcome
        return str(outcome["error"])

    def begin_sign_in(self) -> Page:
        """Answers the window with the sign-in page."""
        self.start("signIn")
        popup = self.popup()
        steps.at(popup, "/accounts/login/")
        return popup

    def end_sign_in(self) -> dict[str, Any]:
        """The tokens, once the window has done its part."""
        return dict(self.succeeded())

    def sign_in(self, email: str) -> dict[str, Any]:
        """As somebody with ``steps.PASSWORD``."""
        steps.submit(self.begin_sign_in(), login=email, password=steps.PASSWORD)
        return self.end_sign_in()

    def authorized(self, email: str) -> dict[str, str]:
        """A code, not yet redeemed, with its verifier and redirect."""
        self.start("authorize")
        steps.submit(self.popup(), login=email, password=steps.PASSWORD)
        return dict(self.succeeded())

    # The socket.

    def heard(self, kind: str) -> dict[str, Any]:
        """The first message of a kind, once it has come."""
        return self.heard_last(kind, lambda _: True)

    def heard_last(self, kind: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The last message of a kind, once one has come that fits."""
        deadline = time.monotonic() + 30
        number = 0
        while True:
            self._wait(f"window.panel.socket.messages.length > {number}", 30)
            messages = self.page.evaluate("window.panel.socket.messages")
            number = len(messages)
            if fitting := [one for one in messages if one["type"] == kind and fits(one)]:
                return dict(fitting[-1])
            assert time.monotonic() < deadline, f"no message {kind} among {messages}"

    def wait_until_closed(self) -> None:
        """Within a second, as ``docs/socket.md`` has it, if the machine were idle; without being
        told, a socket would look for itself only after fifteen."""
        self._wait("window.panel.socket.closed !== null", 10)

    def is_refused(self, bearer: str) -> None:
        """An access token is worth nothing: not to the API, not to the proxy, not for a ticket."""
        body = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}
        for path, options in (
            ("/api/me", {}),
            ("/v1/chat/completions", {"method": "POST", "json": body}),
            ("/api/ws-ticket", {"method": "POST"}),
        ):
            answer = self.run("ask", path, {**options, "bearer": bearer})
            assert answer["status"] == 401, (path, answer)
        self.complaints.pardon("status of 401")
        self.complaints.pardon("status of 400")
