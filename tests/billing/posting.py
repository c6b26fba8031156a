"""Posting events as Stripe does, at a test's own pace."""

import json
import time
from typing import Any

import requests
import stripe


class Poster:
    """One connection to a webhook endpoint, kept open. ``post`` answers the status."""

    def __init__(self, url: str, secret: str) -> None:
        self.url, self.secret = url, secret
        self._session = requests.Session()
        self._session.trust_env = False

    def post(self, event: dict[str, Any]) -> int:
        body = json.dumps(event)
        signature = stripe.WebhookSignature.generate_signature_header(
            body, self.secret, int(time.time())
        )
        answer = self._session.post(
            self.url,
            data=body.encode(),
            headers={"Stripe-Signature": signature, "Content-Type": "application/json"},
            timeout=60,
        )
        return answer.status_code

    def post_until_taken(self, event: dict[str, Any], tries: int = 30) -> int:
        """The same until it is answered 200; answers how often that was not so."""
        for failures in range(tries):
            if self.post(event) == 200:
                return failures
        raise AssertionError(f"{event['id']} was never taken")

    def close(self) -> None:
        self._session.close()
