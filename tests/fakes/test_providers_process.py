"""The stand-alone process that benchmarks use."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.fakes.providers import OPENAI_KEY

ROOT = Path(__file__).parents[2]


@pytest.fixture
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.fakes.providers", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Fake providers are ready: http://127.0.0.1:")
        yield line.split()[-1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0


def bill(address: str, name: str = "bill") -> dict[str, int]:
    with urllib.request.urlopen(f"{address}/_fake/{name}", timeout=5) as answer:
        return dict(json.load(answer))


def test_serves_bills_and_stops(address: str) -> None:
    said = "events=4 size=4 input=50 delay_ms=1"
    with openai.OpenAI(base_url=f"{address}/v1", api_key=OPENAI_KEY) as client:
        for _ in range(3):
            chunks = client.chat.completions.create(
                model="m", stream=True, messages=[{"role": "user", "content": said}]
            )
            assert "".join(c.choices[0].delta.content or "" for c in chunks) == "word" * 4
    wrong = openai.OpenAI(base_url=f"{address}/v1", api_key="sk-wrong")
    with pytest.raises(openai.AuthenticationError), wrong:
        wrong.chat.completions.create(
            model="m", stream=True, messages=[{"role": "user", "content": said}]
        )
    totals = bill(address)
    assert (totals["requests"], totals["refused"], totals["open"]) == (4, 1, 0)
    assert (totals["input"], totals["output"]) == (150, 12)
    assert bill(address, "reset")["requests"] == 0
