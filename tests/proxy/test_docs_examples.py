"""The examples of ``docs/ai-proxy.md`` and ``docs/api.md`` do as they are written what they say."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.proxy.dialects import OPENAI, post
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox
from tests.proxy.test_demo_routes import demo  # noqa: F401

pytestmark = pytest.mark.xdist_group("proxy-demo")
DOCS = Path(__file__).resolve().parents[2] / "docs"

# What the example leaves to the extension that it stands in, and what came of it.
AROUND = """
const {{ FAREBOX, KEY: token }} = process.env;
const controller = new AbortController();
const said = [];
const show = (text) => said.push(text);
let finished;
{example}
console.log(JSON.stringify({{ said: said.join(""), finished }}));
"""


def blocks(page: str, language: str) -> list[str]:
    """The fenced examples of one language, in order."""
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / page).read_text(), re.M | re.S)
    return [text for name, text in fences if name == language]


def run(argv: list[str], farebox: Farebox, rider: Rider, **more: str) -> str:
    environment = {**os.environ, "FAREBOX": farebox.url, "KEY": rider.secret, **more}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def events_of(text: str) -> list[Any]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]


def shapes(events: list[Any]) -> dict[str, set[str]]:
    """The fields of each type of event."""
    return {event["type"]: set(event) for event in events}


def test_every_example_does_what_it_says(
    demo: Farebox, rider: Rider, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    """One server for all of them."""
    from_a_shell(demo, rider)
    from_an_extensions_page(demo, rider, tmp_path / "example.mjs")
    plain_and_with_tools(demo, rider)
    by_task(demo, rider)


def from_a_shell(farebox: Farebox, rider: Rider) -> None:
    (command,) = blocks("ai-proxy.md", "sh")
    told = events_of(run(["bash", "-c", command], farebox, rider))
    written = events_of(blocks("ai-proxy.md", "")[0])
    assert shapes(told) == shapes(written)
    assert told[:2] == written[:2]
    (usage,) = [event for event in told if event["type"] == "usage"]
    assert usage in written
    assert told[-1]["spent"] == written[-1]["spent"]
    assert told[-1]["call"] == str(rider.only_call().pk)


def from_an_extensions_page(farebox: Farebox, rider: Rider, script: Path) -> None:
    node = shutil.which("node")
    assert node, "the example is run by Node"
    (example,) = blocks("ai-proxy.md", "js")
    script.write_text(AROUND.format(example=example))
    told = json.loads(run([node, str(script)], farebox, rider))
    assert "“Hello”" in told["said"]
    assert told["finished"]["call"] == str(rider.settled(2)[-1].pk)
    # A refusal is thrown with the words of the contract.
    script.write_text(AROUND.format(example=example.replace('"demo"', '"nothing-9"')))
    with pytest.raises(AssertionError, match="nothing-9"):
        run([node, str(script)], farebox, rider)


def plain_and_with_tools(farebox: Farebox, rider: Rider) -> None:
    plain, tools = blocks("ai-proxy.md", "json")
    written = json.loads(plain)
    hello: list[Any] = [{"role": "user", "content": "Hello"}]
    for more in ([], [json.loads(line) for line in tools.splitlines()]):
        body = {"model": "demo", "messages": hello + more, "settings": {"stream": False}}
        headers = OPENAI.headers(rider.secret)
        reply = post(farebox, "/ai-proxy", json.dumps(body).encode(), headers)
        assert reply.status == 200, reply.body
        assert set(reply.json) == set(written)
        assert set(reply.json["usage"]) == set(written["usage"])
        if not more:
            assert (reply.json["usage"], reply.json["spent"]) == (
                written["usage"], written["spent"],
            )  # fmt: skip


def by_task(farebox: Farebox, rider: Rider) -> None:
    """Those of the API that a key is enough for; a receipt has the fields that are shown."""
    commands = [one for one in blocks("api.md", "sh") if "$SESSION" not in one]
    paid = [one for one in commands if "/v1/" in one]
    assert len(paid) >= 3
    for command in paid:
        assert "Hello" in run(["bash", "-c", command], farebox, rider)
    calls = rider.settled(4 + len(paid))
    receipt, quote = [one for one in commands if one not in paid]
    told = json.loads(run(["bash", "-c", receipt], farebox, rider, CALL=str(calls[-1].pk)))
    assert list(told) == list(json.loads(blocks("api.md", "json")[0]))
    assert json.loads(run(["bash", "-c", quote], farebox, rider))["output_tokens"] == 200
