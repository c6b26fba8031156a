"""The fake Stripe's state file: everything survives a restart."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fakes.stripe.handle import FakeStripe
from tests.fakes.stripe.shop import Shop, utc


def test_state_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "stripe" / "state.json"
    with FakeStripe(state=file) as fake:
        shop = Shop(fake)
        fake.advance(utc("2027-03-01T00:00"))
        made = shop.subscribe(shop.price(1000))
        session = shop.checkout(shop.price(500, None))
        first = shop.api.customers.create({}, {"idempotency_key": "k"})
        types = shop.types()
        fake.pause()
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    with FakeStripe(state=file) as fake:
        shop = Shop(fake)
        assert fake.now == utc("2027-03-01T00:00")
        assert shop.types() == types
        assert shop.api.customers.create({}, {"idempotency_key": "k"}).id == first.id
        fake.pay(session.id)
        fake.advance(utc("2027-04-01T00:00"))
        assert len(shop.invoices(made.id)) == 2
        assert fake.state()["paused"]
        fake.reset()
    assert json.loads(file.read_text())["tables"]["customers"] == {}


def test_a_killed_process_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    with FakeStripe(state=file) as fake:
        made = Shop(fake).customer(card=None)
        process = fake._process
        assert process is not None
        process.kill()
        process.wait()
    with FakeStripe(state=file) as fake:
        assert fake.api.v1.customers.retrieve(made.id).email == "jenny@example.com"
