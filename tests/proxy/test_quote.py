"""``POST /api/quote`` of every paid address: what it would hold, and nothing held."""

import json
from typing import Any

import httpx
import pytest

from tests.fakes.providers import FakeProviders
from tests.proxy.by_hand import microcredits
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox

pytestmark = pytest.mark.xdist_group("proxy-sdks")
HELLO: Any = [{"role": "user", "content": "Hello"}]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"model": "gpt-4o-mini", "messages": HELLO, "max_tokens": 50},
    "/v1/responses": {"model": "gpt-4o-mini", "input": "Hello", "max_output_tokens": 50},
    "/v1/embeddings": {"model": "text-embedding-3-small", "input": "Hello"},
    "/v1/messages": {"model": "claude-haiku-4-5", "messages": HELLO, "max_tokens": 50},
    "/ai-proxy": {"model": "claude-haiku-4-5", "messages": HELLO, "settings": {"max_tokens": 50}},
}


def quote(farebox: Farebox, rider: Rider, path: str, body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {rider.secret}", "content-type": "application/json"}
    more = {"path": path} if path else {}
    url = f"{farebox.url}/api/quote"
    return httpx.post(url, params=more, content=json.dumps(body), headers=headers, timeout=30)


@pytest.mark.parametrize(("path", "body"), BODIES.items(), ids=BODIES)
def test_a_quote_is_what_the_call_then_holds(
    farebox: Farebox, fake: FakeProviders, rider: Rider, path: str, body: dict[str, Any]
) -> None:
    found = quote(farebox, rider, path, body).json()
    assert found["affordable"] is True
    assert found["output_tokens"] == (0 if path == "/v1/embeddings" else 50)
    rider.assert_untouched()
    headers = {"authorization": f"Bearer {rider.secret}"}
    assert httpx.post(farebox.url + path, json=body, headers=headers).status_code == 200
    assert found["held"] == found["at_most"]
    assert float(found["held"]) * 1_000_000 == pytest.approx(rider.only_call().held, abs=0.1)


def test_without_a_path_it_is_a_chat_completion_or_a_message(
    farebox: Farebox, rider: Rider
) -> None:
    for path in ("/v1/chat/completions", "/v1/messages"):
        body = BODIES[path]
        assert quote(farebox, rider, "", body).json() == quote(farebox, rider, path, body).json()
    found = quote(farebox, rider, "", BODIES["/v1/messages"]).json()
    assert float(found["held"]) * 1_000_000 > microcredits("claude-haiku-4-5", output=50)


def test_another_path_is_refused_by_name(farebox: Farebox, rider: Rider) -> None:
    for path in ("/v1/files", "/v1/messages/count_tokens"):
        reply = quote(farebox, rider, path, BODIES["/v1/messages"])
        assert reply.status_code == 400
        assert reply.json()["error"]["param"] == "path"
