"""A back end of the operator's, as tests play it."""

from itertools import count
from typing import Any

from django.test import Client

from accounts.verbs import IssuedKey

CREDIT = 1_000_000


class Service:
    """Calls ``/api/credits`` with a service key. Each call has an Idempotency-Key of its own,
    unless ``again`` names one."""

    def __init__(self, issued: IssuedKey) -> None:
        self.key = issued.key
        self.client = Client(headers={"x-api-key": issued.secret})
        self._numbers = count(1)

    def ask(self, verb: str, again: str | None = None, **body: Any) -> Any:
        """The response."""
        key = again or f"request-{next(self._numbers)}"
        return self.client.post(
            f"/api/credits/{verb}",
            body,
            content_type="application/json",
            headers={"idempotency-key": key},
        )

    def done(self, verb: str, again: str | None = None, **body: Any) -> dict[str, Any]:
        """The answer to what must succeed."""
        response = self.ask(verb, again, **body)
        assert response.status_code == 200, response.content
        answer: dict[str, Any] = response.json()
        return answer

    def refused(self, verb: str, status: int, again: str | None = None, **body: Any) -> Any:
        """The error of what must be refused."""
        response = self.ask(verb, again, **body)
        assert response.status_code == status, response.content
        return response.json()["error"]
