"""Asking for jobs over the API, in this process."""

from typing import Any

from django.test import Client

from tests.jobs.hands import Hand
from tests.proxy.riders import Rider
from tests.proxy.server import wait_for

MODEL = "gpt-4o-mini"


def chat(words: str = "Hello", **more: Any) -> dict[str, Any]:
    """A chat completion's body."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": words}],
        "max_tokens": 200,
    } | more


class Asker:
    """Somebody with an API key."""

    def __init__(self, rider: Rider) -> None:
        self.rider = rider
        self._client = Client(headers={"authorization": f"Bearer {rider.secret}"})

    def post(self, kind: str, given: Any = None, key: str = "", **more: Any) -> Any:
        headers = {"idempotency-key": key} if key else {}
        body = {"kind": kind, "input": given} | more
        return self._client.post("/api/jobs", body, "application/json", headers=headers)

    def make(self, kind: str, given: Any = None, **more: Any) -> Any:
        answer = self.post(kind, given, **more)
        assert answer.status_code == 202, answer.content
        return answer.json()

    def get(self, path: str) -> Any:
        return self._client.get(path)

    def job(self, job: str) -> Any:
        answer = self.get(f"/api/jobs/{job}")
        assert answer.status_code == 200, answer.content
        return answer.json()

    def cancel(self, job: str) -> Any:
        answer = self._client.delete(f"/api/jobs/{job}")
        assert answer.status_code == 202, answer.content
        return answer.json()

    def ended(self, job: str, seconds: float = 20) -> Any:
        """The job, once it has ended."""
        wait_for(lambda: self.job(job)["finished"], seconds, "the job has ended")
        return self.job(job)

    def done(self, hand: Hand, kind: str, given: Any = None, **more: Any) -> Any:
        """A job that was made, worked on, and has ended."""
        made = self.make(kind, given, **more)
        hand.wake()
        return self.ended(made["id"])
