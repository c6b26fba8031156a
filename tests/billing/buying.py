"""Buying over the API, as a client does."""

import json

from django.test import Client

JSON = "application/json"


def signed_in(user):
    client = Client()
    client.force_login(user)
    return client


def post(client, path, body, key="", **headers):
    """``body`` is JSON-able, or the raw text of it."""
    if key:
        headers["idempotency-key"] = key
    text = body if isinstance(body, str) else json.dumps(body)
    return client.post(f"/api/billing/{path}", text, JSON, headers=headers)


def with_key(secret):
    return {"authorization": f"Bearer {secret}"}


def error_of(response):
    return response.json()["error"]
