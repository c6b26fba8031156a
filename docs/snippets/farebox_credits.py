"""Charge Farebox accounts for work: take credits, do the work, give them back if it fails.

Nothing but Python is needed. Copy this file into your back end:

    from farebox_credits import Credits

    credits = Credits("https://farebox.example.com", os.environ["FAREBOX_SERVICE_KEY"])

    @credits.charged("5", "A poster")
    def draw(account, words): ...

    draw("ada@example.com", "a lighthouse", order="order-1")
"""

import functools
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any


class Refused(Exception):
    """Farebox says no: ``status`` 402 when the account has too little, ``code`` for a program."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.code = error.get("code")


class Credits:
    """Farebox's ``/api/credits``, with a service key."""

    def __init__(self, url: str, key: str, attempts: int = 5, seconds: float = 30) -> None:
        self.url, self.key, self.attempts, self.seconds = url, key, attempts, seconds

    def ask(self, verb: str, idempotency_key: str, **body: Any) -> dict[str, Any]:
        """One verb. Tried again while Farebox is busy or can't be reached, with the same key, so
        that it happens once. Raises ``Refused``, and ``OSError`` when it stays away."""
        request = urllib.request.Request(
            f"{self.url}/api/credits/{verb}",
            json.dumps(body).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": f"Bearer {self.key}",
                "Idempotency-Key": idempotency_key,
            },
        )
        for last in [False] * (self.attempts - 1) + [True]:
            try:
                with urllib.request.urlopen(request, timeout=self.seconds) as answer:
                    return dict(json.load(answer))
            except urllib.error.HTTPError as error:
                with error:
                    if last or error.code not in (429, 500, 502, 503, 504):
                        raise Refused(error.code, _error(error)) from None
                    pause = float(error.headers.get("Retry-After", 1))
            except OSError:
                if last:
                    raise
                pause = 1
            time.sleep(pause)
        raise AssertionError("unreachable")

    def charged(self, amount: str, reason: str) -> Callable[..., Any]:
        """Charges the account that is a function's first argument, before it runs; what it raises
        gives the credits back. Called with ``order="…"``, the same order is charged once however
        often it is tried; one that was given back is over, so try again under another."""

        def decorate(work: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(work)
            def charged(account: str, *args: Any, order: str | None = None, **kwargs: Any) -> Any:
                order = order or str(uuid.uuid4())
                paid = self.ask(
                    "spend", f"{order}:spend", account=account, amount=amount, reason=reason
                )
                try:
                    return work(account, *args, **kwargs)
                except BaseException:
                    self.ask("refund", f"{order}:refund", transfer=paid["transfer"], amount=amount)
                    raise

            return charged

        return decorate


def _error(answer: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        return dict(json.load(answer)["error"])
    except (ValueError, KeyError, TypeError):  # of something between here and Farebox
        return {"message": f"HTTP {answer.code}"}
