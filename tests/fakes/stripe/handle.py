"""The fake Stripe as a test sees it: a process of its own, and a method for each control."""

from __future__ import annotations

import select
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
import stripe

from .options import KEY, SECRET

ROOT = Path(__file__).resolve().parents[3]
READY = "fake Stripe ready on "
DECLINED = "4000000000000002"
PAYS = "4242424242424242"
Json = dict[str, Any]


class Refused(Exception):
    """The fake answered a control with an error; ``error`` is Stripe's shape of it."""

    def __init__(self, error: Json, control: str) -> None:
        super().__init__(f"{control}: {error['message']}")
        self.error = error


class FakeStripe:
    """A context manager around ``python -m tests.fakes.stripe``.

    ``url`` is its address, ``key`` a secret key that it takes, ``secret`` what signs the events it
    sends to ``webhook`` (an endpoint made through the API has a secret of its own), ``api`` a
    ``stripe.StripeClient`` that speaks to it. Every method may be called from any thread; each
    returns the JSON that the fake answered and raises `Refused` when that was an error.

    Things happen at the fake on its own time: ``settled`` waits until every event was delivered.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        state: Path | None = None,
        webhook: str = "",
        secret: str = SECRET,
        key: str = KEY,
        real_signatures: bool = False,
    ) -> None:
        self.secret = secret
        self.key = key
        self.url = ""
        self._arguments = ["--port", str(port), "--secret", secret, "--key", key]
        self._arguments += ["--webhook", webhook] if webhook else []
        self._arguments += ["--state", str(state)] if state else []
        self._arguments += ["--real-signatures"] if real_signatures else []
        self._process: subprocess.Popen[str] | None = None
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy between a test and its fake
        # Tests call from many threads, and the pool of ten would complain of each further one.
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))

    # Life.

    def start(self) -> Self:
        """Returns when it listens. Raises ``RuntimeError`` when that takes ten seconds."""
        # Its standard input is a pipe that ends with this process, however that ends.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.stripe", "--leash", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.url = self._ready_line(self._process).removeprefix(READY)
        except BaseException:
            self.stop()
            raise
        self.api = stripe.StripeClient(
            self.key,
            base_addresses={"api": self.url, "files": self.url},
            http_client=stripe.RequestsClient(timeout=20, session=self._session),
            max_network_retries=0,
        )
        return self

    @staticmethod
    def _ready_line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        line = ""
        if select.select([process.stdout], [], [], 10)[0]:
            line = process.stdout.readline().strip()
        if not line.startswith(READY):
            raise RuntimeError(f"the fake Stripe did not start within 10 s; it said {line!r}")
        return line

    def stop(self) -> None:
        """End the process, politely first, and close everything."""
        self._session.close()
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # Time.

    def advance(self, to: datetime, *, settle: bool = False) -> Json:
        """Freeze its clock at an instant not before its present one, doing all that falls due.

        With ``settle`` all events of an instant are delivered before the next one comes.
        """
        assert to.tzinfo is not None, "an instant has a zone"
        return self._post("clock", now=int(to.timestamp()), settle=settle)

    def real_time(self) -> Json:
        """Let its clock run with the machine's again."""
        return self._post("clock", now=None)

    @property
    def now(self) -> datetime:
        """What its clock shows."""
        return datetime.fromtimestamp(self._get("clock")["now"], UTC)

    # Checkout and cards. A card is given by its number, with or without blanks.

    def pay(self, session: str, card: str = PAYS, promotion_code: str = "") -> Json:
        """Do what a person does on the Checkout page. ``card="delayed"``: unpaid until later."""
        more = {"promotion_code": promotion_code} if promotion_code else {}
        return self._post(f"sessions/{session}/pay", card=card, **more)

    def expire(self, session: str) -> Json:
        """Let a Checkout session run out."""
        return self._post(f"sessions/{session}/expire")

    def end_delayed(self, session: str, outcome: str = "succeeded") -> Json:
        """A delayed payment ``succeeded`` or ``failed``."""
        return self._post(f"sessions/{session}/async", outcome=outcome)

    def replace_card(self, customer: str, card: str = PAYS) -> Json:
        """Give a customer another default card, for its subscriptions too."""
        return self._post(f"customers/{customer}/card", card=card)

    def authenticate(self, payment_intent: str, outcome: str = "succeeded") -> Json:
        """Do what a person does on the 3-D Secure page: ``succeeded`` or ``failed``."""
        return self._post(f"payment_intents/{payment_intent}/authenticate", outcome=outcome)

    def dispute(self, charge: str, amount: int | None = None) -> Json:
        """The cardholder disputes a charge, whole or an amount of cents."""
        return self._post(f"charges/{charge}/dispute", **({"amount": amount} if amount else {}))

    def close_dispute(self, dispute: str, status: str) -> Json:
        """The bank decides: ``won`` (by the merchant) or ``lost``."""
        return self._post(f"disputes/{dispute}/close", status=status)

    # Webhooks.

    def pause(self) -> Json:
        """Record events and send none."""
        return self._post("webhooks", paused=True)

    def resume(self, *, replay: bool = False) -> Json:
        """Send events again; those of the pause only with ``replay``."""
        return self._post("webhooks", paused=False, replay=replay)

    def send(self, event: str, copies: int = 1) -> Json:
        """Deliver an event once more, ``copies`` times at once."""
        return self._post(f"events/{event}/send", copies=copies)

    def deliveries(self) -> Json:
        """``{"pending": n, "deliveries": [...]}``: what was sent where, and what came back."""
        return self._get("deliveries")

    def settled(self, seconds: float = 20) -> None:
        """Wait until no delivery is pending. Raises ``TimeoutError``."""
        if pending := self._post("settle", seconds=seconds)["pending"]:
            raise TimeoutError(f"{pending} deliveries still pending after {seconds} s")

    # Faults, and the whole of it.

    def fault(
        self,
        *,
        method: str = "",
        path: str = "/",
        status: int | None = None,
        body: Any = None,
        delay: float | None = None,
        drop: bool = False,
        after: bool = False,
        times: int = 1,
    ) -> Json:
        """Spoil the next ``times`` API calls of this method whose path begins so.

        ``status`` and ``body`` are answered instead of the work, ``delay`` seconds pass first,
        ``drop`` cuts the connection without an answer. With ``after`` the work is done all the
        same, and only its answer is spoilt.
        """
        fault: Json = {"path": path, "times": times, "drop": drop, "after": after}
        optional = {"method": method or None, "status": status, "body": body, "delay": delay}
        fault |= {name: value for name, value in optional.items() if value is not None}
        return self._post("faults", **fault)

    def tax(self, basis_points: int) -> Json:
        """What automatic tax adds from now on, in hundredths of a per cent."""
        return self._post("tax", basis_points=basis_points)

    def clear_faults(self) -> Json:
        """Work as usual again."""
        return self._send("POST", "faults", [])

    def state(self) -> Json:
        """Everything it holds, but for faults, by kind of object."""
        return self._get("state")

    def reset(self, state: Json | None = None) -> Json:
        """Forget everything, faults and clock too; hold instead what ``state`` once answered."""
        return self._post("reset", **({"state": state} if state else {}))

    def _post(self, path: str, /, **body: Any) -> Json:
        return self._send("POST", path, body)

    def _get(self, path: str) -> Json:
        return self._send("GET", path)

    def _send(self, method: str, path: str, body: Any = None) -> Json:
        answer = self._session.request(method, f"{self.url}/_fake/{path}", json=body, timeout=120)
        found: Json = answer.json()
        if not answer.ok:
            raise Refused(found["error"], f"{method} /_fake/{path}")
        return found
