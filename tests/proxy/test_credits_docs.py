"""The examples of ``docs/credits.md`` and the snippets beside it do what they say."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from threading import Thread
from typing import Any

import pytest

from accounts import services
from ledger.models import Transfer
from tests.proxy.riders import CREDIT, Rider, make_rider
from tests.proxy.server import Farebox
from tests.proxy.test_docs_examples import DOCS, blocks

SNIPPETS = DOCS / "snippets"
ADA = "ada@example.com"


@pytest.fixture
def ada(clean_books: bool) -> Rider:
    return make_rider(ADA, credits=20 * CREDIT)


@pytest.fixture
def secret(clean_books: bool) -> str:
    return services.issue(name="shop").secret


def run(argv: list[str], **environment: str) -> Any:
    done = subprocess.run(
        argv, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def told(rider: Rider) -> list[tuple[str, int]]:
    """(kind, credits) of what was moved, oldest first."""
    moved = Transfer.objects.filter(kind__in=["capture", "refund"]).order_by("pk")
    return [(row.kind, row.amount // CREDIT) for row in moved]


def test_the_commands(farebox: Farebox, ada: Rider, secret: str) -> None:
    make_key, *commands = blocks("credits.md", "sh")
    assert make_key == "bin/manage create_service_key --name shop\n"
    spend, refund, hold, capture, release = commands
    spent, held = map(json.loads, blocks("credits.md", "json"))

    def curl(command: str, **more: str) -> Any:
        return run(
            ["bash", "-c", command.replace("curl ", "curl -sS ")],
            FAREBOX=farebox.url,
            SERVICE_KEY=secret,
            **more,
        )

    answer = curl(spend)
    assert answer == spent | {"transfer": answer["transfer"]}
    back = curl(refund, TRANSFER=str(answer["transfer"]))
    assert back["balance"]["available"] == "20.000000"
    answer = curl(hold)
    assert answer == held | {"hold": answer["hold"]}
    taken = curl(capture, HOLD=answer["hold"])
    assert taken["balance"]["available"] == "13.500000"
    # A hold ends once, so what is released is another.
    another = curl(hold.replace("order-2", "order-3"))
    released = curl(release, HOLD=another["hold"])
    assert released == {"hold": another["hold"], "balance": taken["balance"]}


class Broken(Exception):
    """The work failed."""


def fail(*_: object) -> None:
    raise Broken


def test_the_ten_lines(farebox: Farebox, ada: Rider, secret: str) -> None:
    (example,) = blocks("credits.md", "python")
    lines = [line for line in example.splitlines() if line and not line.startswith("import")]
    assert len(lines) <= 10
    for order, draw in (("order-1", lambda: "a poster"), ("order-2", fail)):
        names: dict[str, Any] = {
            "FAREBOX": farebox.url, "SERVICE_KEY": secret, "order": order, "draw": draw,
        }  # fmt: skip
        try:
            exec(example, names)
            assert names["poster"] == "a poster"
        except Broken:
            assert draw is fail
        finally:
            names["farebox"].close()
    assert told(ada) == [("capture", 5), ("capture", 5), ("refund", 5)]


def python_snippet() -> Any:
    spec = spec_from_file_location("farebox_credits", SNIPPETS / "farebox_credits.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_decorator(farebox: Farebox, ada: Rider, secret: str) -> None:
    snippet = python_snippet()
    credits = snippet.Credits(farebox.url, secret)
    done = []

    @credits.charged("5", "A poster")
    def draw(account: str, words: str) -> str:
        """Draws."""
        done.append(account)
        return words.upper()

    assert draw.__doc__ == "Draws."
    assert draw(ADA, "a lighthouse") == "A LIGHTHOUSE"
    for _ in range(2):  # the same order is charged once
        assert draw(ADA, "a lighthouse", order="order-1") == "A LIGHTHOUSE"
    with pytest.raises(Broken):
        credits.charged("5", "A poster")(fail)(ADA)
    assert told(ada) == [("capture", 5), ("capture", 5), ("capture", 5), ("refund", 5)]

    done.clear()
    dear = credits.charged("11", "A statue")(draw.__wrapped__)
    with pytest.raises(snippet.Refused, match="are available") as refused:
        dear(ADA, "a lighthouse")
    assert (refused.value.status, refused.value.code) == (402, "insufficient_credits")
    assert done == []
    assert ada.account.available == 10 * CREDIT


def node(script: str, **environment: str) -> Any:
    found = shutil.which("node")
    assert found, "the snippet is run by Node"
    path = SNIPPETS / "farebox-credits.mjs"
    head = f'import {{ Credits }} from "{path.as_uri()}";\n'
    head += "const credits = new Credits(process.env.FAREBOX, process.env.SERVICE_KEY);\n"
    return run([found, "--input-type=module", "-e", head + script], **environment)


JAVASCRIPT = """
const said = [];
const note = (error) => said.push([error.message, error.status, error.code]);
const draw = credits.charged("5", "A poster", async (account, words) => words.toUpperCase());
said.push(await draw("ada@example.com", "a lighthouse"));
for (const _ of [1, 2]) said.push(await draw.order("order-1")("ada@example.com", "a lighthouse"));
const fail = credits.charged("5", "A poster", async () => { throw new Error("broken"); });
await fail("ada@example.com").catch(note);
await credits.charged("11", "A statue", () => said.push("drawn"))("ada@example.com").catch(note);
console.log(JSON.stringify(said));
"""


def test_the_function(farebox: Farebox, ada: Rider, secret: str) -> None:
    *drawn, broken, dear = node(JAVASCRIPT, FAREBOX=farebox.url, SERVICE_KEY=secret)
    assert drawn == ["A LIGHTHOUSE"] * 3
    assert broken[0] == "broken"
    assert dear[1:] == [402, "insufficient_credits"]
    assert told(ada) == [("capture", 5), ("capture", 5), ("capture", 5), ("refund", 5)]


@contextmanager
def busy(*statuses: int) -> Iterator[tuple[str, list[str]]]:
    """Something that answers so, one after another; the Idempotency-Keys it was sent."""
    keys: list[str] = []
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["Idempotency-Key"])
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"transfer": 1}' if left[0] == 200 else b"<html>busy"
            self.send_response(left.pop(0))
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing to be said."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            server.shutdown()
            thread.join()


def test_both_try_again_with_the_same_key_and_not_for_ever() -> None:
    snippet = python_snippet()
    with busy(503, 429, 200) as (url, keys):
        assert snippet.Credits(url, "key").ask("spend", "order-1") == {"transfer": 1}
    assert keys == ["order-1"] * 3
    with busy(503, 502) as (url, keys), pytest.raises(snippet.Refused, match="HTTP 502"):
        snippet.Credits(url, "key", attempts=2).ask("spend", "order-1")
    assert keys == ["order-1"] * 2

    script = """
        console.log(JSON.stringify([
          await credits.ask("spend", "order-1", {}),
          await new Credits(credits.url, "key", { attempts: 2 }).ask("spend", "order-2", {})
            .catch((error) => error.message),
        ]));
    """
    with busy(503, 429, 200, 503, 502) as (url, keys):
        said = node(script, FAREBOX=url, SERVICE_KEY="key")
    assert said == [{"transfer": 1}, "HTTP 502"]
    assert keys == ["order-1"] * 3 + ["order-2"] * 2
