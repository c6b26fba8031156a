"""bin/dev from an empty home to its end, as a user meets it. One start serves most tests."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
import psutil
import pytest

from devtools.processes import ROOT


@dataclass
class Dev:
    process: subprocess.Popen[str]
    env: dict[str, str]
    lines: list[str]

    @property
    def address(self):
        return self.lines[-1].removeprefix("Farebox is ready: ")

    def programs(self):
        return psutil.Process(self.process.pid).children(recursive=True)


def environment(home):
    """As a user's: nothing but where state lives, and any free port."""
    foreign = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG"}
    env = {name: value for name, value in os.environ.items() if name not in foreign}
    return env | {"FAREBOX_HOME": str(home), "PORT": "0"}


def run(module, *arguments, env):
    return subprocess.run(
        [sys.executable, "-m", f"devtools.{module}", *arguments],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )


def start(env):
    process = subprocess.Popen(
        [sys.executable, "-m", "devtools.dev"],
        env=env,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    lines = []
    while not lines or not lines[-1].startswith("Farebox is ready: "):
        line = process.stdout.readline()
        assert line, "".join(lines)
        lines.append(line.rstrip("\n"))
    return Dev(process, env, lines)


@pytest.fixture(scope="module")
def dev():
    home = Path(tempfile.mkdtemp(prefix="fb-"))
    dev = start(environment(home))
    yield dev
    dev.process.send_signal(signal.SIGTERM)
    dev.process.communicate(timeout=60)
    shutil.rmtree(home)


def read_until(dev, beginning):
    while not (line := dev.process.stdout.readline()).startswith(beginning):
        assert line
    return line.rstrip("\n")


def test_migrations_are_shown_before_the_ready_line(dev):
    assert any(line.startswith("  Applying djstripe.") for line in dev.lines)
    assert "farebox: migrating the database" in dev.lines
    assert any(line.startswith("  Applying ledger.0001") for line in dev.lines)


def test_the_printed_curl_line_streams_and_the_login_is_told(dev):
    assert read_until(dev, "Demo login: ").count("@") == 1
    line = read_until(dev, "curl ")
    assert line.startswith(f"curl -N {dev.address}/v1/chat/completions -H ")
    answer = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert answer.stdout.count("data: ") > 2
    assert answer.stdout.rstrip().endswith("data: [DONE]")


def test_manage_meets_the_running_database_and_prints_the_commands_output_alone(dev):
    made = run("manage", "create_account", "--email", "rider@example.com", env=dev.env)
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["email"] == "rider@example.com"
    assert run("manage", "reconcile", env=dev.env).returncode == 0
    assert run("manage", "no_such_command", env=dev.env).returncode == 1


def test_a_second_start_of_the_same_home_is_refused(dev):
    second = run("dev", env=dev.env)
    assert second.returncode == 1
    assert f"bin/dev (process {dev.process.pid}) is using this FAREBOX_HOME" in second.stdout


def test_a_killed_web_process_comes_back(dev, eventually):
    [web] = [one for one in dev.programs() if "uvicorn" in one.cmdline()]
    web.kill()

    def answers():
        try:
            return httpx.get(f"{dev.address}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    eventually(lambda: not web.is_running())
    eventually(answers, seconds=60)


def test_ctrl_c_stops_everything_and_manage_then_brings_its_own(dev):
    programs = dev.programs()
    assert len(programs) >= 5
    dev.process.send_signal(signal.SIGINT)
    out, _ = dev.process.communicate(timeout=60)
    assert dev.process.returncode == 0
    assert out.endswith("farebox: stopped\n")
    assert not [one for one in programs if one.is_running()]
    alone = run("manage", "reconcile", env=dev.env)
    assert alone.returncode == 0, alone.stderr
    assert not (Path(dev.env["FAREBOX_HOME"]) / "postgres" / "postmaster.pid").exists()


def test_with_the_fake_stripe_a_payment_arrives(dev, eventually):
    """On the same home, once the first bin/dev has left it."""
    if dev.process.poll() is None:
        dev.process.send_signal(signal.SIGINT)
        dev.process.communicate(timeout=60)
    fake = start(dev.env | {"STRIPE_FAKE": "true"})
    try:
        assert not any("Applying" in line for line in fake.lines)
        stripe = read_until(fake, "fake Stripe: ").split()[2]
        key = read_until(fake, "Demo key: ").split()[-1]
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, trust_env=False) as client:

            def posted():
                return Decimal(client.get(f"{fake.address}/api/me").json()["balance"]["posted"])

            before = posted()
            credits = {"quantity": 100}
            page = client.post(f"{fake.address}/api/billing/credits", json=credits).json()["url"]
            assert page.startswith(f"{stripe}/c/pay/")
            card = {"number": "4242 4242 4242 4242", "expiry": "12/34", "cvc": "123"}
            done = client.post(page, data=card)
            assert done.headers["Location"].startswith(f"{fake.address}/")
            eventually(lambda: posted() == before + 100)
        assert run("manage", "sync_plans", "--dry-run", env=dev.env).returncode == 0
    finally:
        fake.process.send_signal(signal.SIGINT)
        out, _ = fake.process.communicate(timeout=60)
    assert out.endswith("farebox: stopped\n")


def test_a_database_that_is_not_there_is_said(place):
    url = "postgresql://nobody@/nowhere?host=/nonexistent"
    refused = run("dev", env=environment(place) | {"DATABASE_URL": url})
    assert refused.returncode == 1
    assert "farebox: DATABASE_URL: can't connect" in refused.stdout
