"""The fake Stripe as a process: it starts, remembers, and never outlives who started it."""

import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
import stripe

from devtools.processes import ROOT
from tests.fakes.stripe.handle import READY, FakeStripe, Refused

COMMAND = [sys.executable, "-m", "tests.fakes.stripe"]


@pytest.fixture
def fake(stripe_server):
    stripe_server.reset()
    yield stripe_server
    stripe_server.reset()


def test_it_answers_stripes_own_client(fake):
    assert fake.url.startswith("http://127.0.0.1:")
    assert fake.api.v1.customers.create({"email": "a@example.com"}).id.startswith("cus_")
    wrong = stripe.StripeClient(
        "sk_live_" + "0" * 24,
        base_addresses={"api": fake.url},
        http_client=stripe.UrllibClient(),
        max_network_retries=0,
    )
    with pytest.raises(stripe.AuthenticationError):
        wrong.v1.customers.list()


def test_a_refused_control_says_why(fake):
    with pytest.raises(Refused, match="No such"):
        fake.pay("cs_test_none")


def test_the_clock_stands_where_it_was_put_and_never_goes_back(fake):
    to = datetime(2030, 1, 31, 12, tzinfo=UTC)
    fake.advance(to)
    assert fake.now == to
    with pytest.raises(Refused):
        fake.advance(to - timedelta(seconds=1))
    fake.real_time()
    assert abs(fake.now - datetime.now(UTC)) < timedelta(minutes=1)


def test_faults_are_cleared_and_reset_forgets(fake):
    fake.api.v1.customers.create({"email": "a@example.com"})
    fake.fault(method="GET", path="/v1/customers", status=503, times=9)
    with pytest.raises(stripe.APIError):
        fake.api.v1.customers.list()
    fake.clear_faults()
    assert fake.api.v1.customers.list().data
    before = fake.state()
    fake.reset()
    assert fake.api.v1.customers.list().data == []
    fake.reset(before)
    assert fake.api.v1.customers.list().data


def test_a_restart_goes_on_where_it_stopped(tmp_path):
    state = tmp_path / "deep" / "stripe.json"
    with FakeStripe(state=state) as first:
        made = first.api.v1.customers.create({"email": "rider@example.com"})
        first.advance(datetime(2030, 1, 31, tzinfo=UTC))
    with FakeStripe(state=state) as second:
        assert second.api.v1.customers.retrieve(made.id).email == "rider@example.com"
        assert second.now == datetime(2030, 1, 31, tzinfo=UTC)


class Receiver(BaseHTTPRequestHandler):
    """Notes each event's signature and body, and is content."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.noted.append((body.decode(), self.headers["Stripe-Signature"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def receiver():
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.noted = []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("real", [False, True])
def test_an_event_is_signed_at_the_fakes_time_or_at_this_machines(receiver, real):
    webhook = f"http://127.0.0.1:{receiver.server_port}/"
    later = datetime(2030, 1, 31, tzinfo=UTC)
    with FakeStripe(webhook=webhook, real_signatures=real) as fake:
        fake.advance(later)
        fake.api.v1.customers.create({"email": "rider@example.com"})
        fake.settled()
        [(body, signature)] = receiver.noted
        at = int(signature.removeprefix("t=").partition(",")[0])
        expected = datetime.now(UTC) if real else later
        assert abs(datetime.fromtimestamp(at, UTC) - expected) < timedelta(minutes=1)
        event = stripe.Webhook.construct_event(body, signature, fake.secret)
        assert event.type == "customer.created"


def test_stopping_twice_is_once():
    fake = FakeStripe().start()
    process = psutil.Process(fake._process.pid)
    fake.stop()
    fake.stop()
    assert not process.is_running()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_in_order(number):
    with subprocess.Popen(COMMAND, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith(READY)
        process.send_signal(number)
        assert process.wait(10) == 0


def test_it_ends_with_a_parent_that_was_killed():
    code = (
        "import sys, time; from tests.fakes.stripe.handle import FakeStripe\n"
        "fake = FakeStripe().start(); print(fake._process.pid, flush=True); time.sleep(60)"
    )
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        psutil.wait_procs([child], timeout=10)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_a_taken_port_is_said_in_a_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        argv = [*COMMAND, "--port", str(port)]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=20)
        assert done.returncode == 1
        assert done.stderr == f"fake Stripe: 127.0.0.1:{port}: Address already in use\n"
