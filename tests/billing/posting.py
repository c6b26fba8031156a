"""Posting events as Stripe does, at a test's own pace."""

import http.client
import json
import time
from typing import Any
from urllib.parse import urlsplit

import stripe


class Poster:
    """One connection to a webhook endpoint, kept open. ``post`` answers the status.

    Of the standard library, since thousands are posted and a client that can do more costs more.
    """

    def __init__(self, url: str, secret: str) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.secret, self._path = secret, where.path
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=60)

    def post(self, event: dict[str, Any]) -> int:
        body = json.dumps(event)
        signature = stripe.WebhookSignature.generate_signature_header(
            body, self.secret, int(time.time())
        )
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        self._connection.request("POST", self._path, body.encode(), headers)
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def post_until_taken(self, event: dict[str, Any], tries: int = 30) -> int:
        """The same until it is answered 200; answers how often that was not so."""
        for failures in range(tries):
            if self.post(event) == 200:
                return failures
        raise AssertionError(f"{event['id']} was never taken")

    def close(self) -> None:
        self._connection.close()
