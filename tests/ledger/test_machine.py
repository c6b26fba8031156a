"""The verbs against a model of the books, in any order Hypothesis can think of.

``FAREBOX_THOROUGH=1`` runs 200 histories of 50 steps, as the promise says; otherwise fewer.
"""

import os
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from accounts.verbs import create_user
from common.errors import FareboxError
from common.ids import uuid7
from ledger import sweep, verbs
from ledger.models import Grant, Hold
from ledger.reconcile import reconcile
from tests.ledger.books import balance
from tests.ledger.model import Refused, Wallet

THOROUGH = os.environ.get("FAREBOX_THOROUGH") == "1"
AMOUNTS = st.integers(1, 60)


class Books(RuleBasedStateMachine):
    """Two wallets, each beside its model; bundles name (wallet, real id, the model's thing)."""

    grants = Bundle("grants")
    holds = Bundle("holds")
    captures = Bundle("captures")

    @initialize()
    def open_wallets(self):
        self.start = datetime.now(UTC)
        self.model = {}
        for _ in range(2):
            user = create_user(email=f"{uuid7()}@example.com")
            self.model[verbs.wallet_of(user=user.pk)] = Wallet()
        self.ids = list(self.model)
        self.ticks = 0

    def tick(self):
        self.ticks += 1
        return self.ticks

    def both(self, wallet, expected, verb, **arguments):
        """Do it in the model and in the books; both must answer, or refuse alike."""
        arguments["key"] = f"{self.ids[0]}:{self.tick()}"
        try:
            answer = expected()
        except Refused as error:
            refused = str(error)
            self.model[wallet].look_away()
            with pytest.raises(FareboxError) as raised:
                verb(**arguments)
            assert type(raised.value).__name__ == refused
            return None
        real = verb(**arguments)
        self.last = (verb, arguments, real)
        return answer, real

    @rule(
        target=grants,
        place=st.integers(0, 1),
        amount=AMOUNTS,
        kind=st.sampled_from(["purchase", "allowance", "promotion"]),
        days=st.one_of(st.none(), st.integers(60, 63)),
    )
    def grant(self, place, amount, kind, days):
        wallet = self.ids[place]
        model = self.model[wallet]
        lot, real = self.both(
            wallet,
            lambda: model.grant(kind, amount, verbs.PRIORITY[kind], days),
            verbs.grant,
            account=wallet,
            amount=amount,
            kind=kind,
            expires_at=days and self.start + timedelta(days=days),
        )
        return wallet, real.grant, lot

    @rule(target=holds, place=st.integers(0, 1), amount=AMOUNTS, minimum=AMOUNTS)
    def hold(self, place, amount, minimum):
        wallet = self.ids[place]
        model = self.model[wallet]
        done = self.both(
            wallet,
            lambda: model.hold(amount, minimum),
            verbs.hold,
            account=wallet,
            amount=amount,
            minimum=minimum,
            kind="api",
            lease=timedelta(days=1),
        )
        if done is None:
            return multiple()
        held, real = done
        assert real.amount == held
        model.holds[real.hold] = held
        return wallet, real.hold

    @rule(target=captures, hold=holds, amount=st.integers(0, 90))
    def capture(self, hold, amount):
        wallet, real_hold = hold
        done = self.both(
            wallet,
            lambda: self.model[wallet].end(real_hold, amount),
            verbs.capture,
            hold=real_hold,
            amount=amount,
        )
        if done is None:
            return multiple()
        (taken, returned, written_off, drawn), real = done
        assert (real.amount, real.returned, real.written_off) == (taken, returned, written_off)
        return (wallet, real.transfer, drawn) if taken else multiple()

    @rule(hold=holds)
    def release(self, hold):
        wallet, real_hold = hold
        done = self.both(
            wallet,
            lambda: self.model[wallet].end(real_hold, 0),
            verbs.release,
            hold=real_hold,
        )
        if done:
            assert done[1].returned == done[0][1]

    @rule(hold=consumes(holds), charge=st.one_of(st.none(), st.integers(0, 90)))
    def sweep(self, hold, charge):
        wallet, real_hold = hold
        open_holds = Hold.objects.filter(pk=real_hold, state="open")
        checkpoint = None if charge is None else {"charge": charge}
        was_open = open_holds.update(lease_until=self.start, checkpoint=checkpoint)
        assert was_open == (real_hold in self.model[wallet].holds)
        assert sweep.sweep() == was_open
        if was_open:
            self.model[wallet].end(real_hold, charge or 0)

    @rule(target=captures, place=st.integers(0, 1), amount=AMOUNTS)
    def spend(self, place, amount):
        wallet = self.ids[place]
        model = self.model[wallet]

        def expected():
            model.holds["spend"] = model.hold(amount, amount)
            return model.end("spend", amount)

        done = self.both(wallet, expected, verbs.spend, account=wallet, amount=amount)
        if done is None:
            return multiple()
        return wallet, done[1].transfer, done[0][3]

    @rule(capture=captures, amount=AMOUNTS)
    def refund(self, capture, amount):
        wallet, transfer, taken = capture
        self.both(
            wallet,
            lambda: self.model[wallet].refund(taken, amount, lambda: 30 + self.tick() / 1e6),
            verbs.refund,
            transfer=transfer,
            amount=amount,
        )

    @rule(grant=grants, amount=AMOUNTS)
    def revoke(self, grant, amount):
        wallet, real_grant, lot = grant
        done = self.both(
            wallet,
            lambda: self.model[wallet].revoke(lot, amount),
            verbs.revoke,
            grant=real_grant,
            amount=amount,
        )
        if done:
            (taken, lapsed, receivable), real = done
            assert (real.taken, real.lapsed, real.receivable) == (taken, lapsed, receivable)

    @rule(place=st.integers(0, 1), number=st.integers(0, 20))
    def let_fall_due(self, place, number):
        """A lot's date passes; the first to pass is the soonest."""
        wallet = self.ids[place]
        ahead = [lot for lot in self.model[wallet].lots if (lot.days or -1) > 0]
        if ahead:
            lot = ahead[number % len(ahead)]
            lot.days = -1000 + self.tick() / 1e3
            real = Grant.objects.filter(account=wallet).order_by("id")[lot.place]
            real.expires_at = self.start + timedelta(days=lot.days)
            real.save(update_fields=["expires_at"])

    @rule(place=st.integers(0, 1))
    def expire(self, place):
        model = self.model[self.ids[place]]
        before = model.posted
        model.look()
        assert verbs.expire(account=self.ids[place]).amount == before - model.posted

    @rule()
    def repeat(self):
        if getattr(self, "last", None):
            verb, arguments, answer = self.last
            assert verb(**arguments) == answer

    @invariant()
    def books_and_model_agree(self):
        for wallet, model in getattr(self, "model", {}).items():
            assert balance(wallet) == (model.posted, model.held, model.owed)
            real = Grant.objects.filter(account=wallet).order_by("id")
            assert list(real.values_list("kind", "remaining", "revoked", "lapsed")) == [
                (lot.kind, lot.remaining, lot.revoked, lot.lapsed) for lot in model.lots
            ]

    def teardown(self):
        assert reconcile().violations == []


def test_any_history_of_verbs(clean_books):
    run_state_machine_as_test(
        Books,
        settings=settings(
            max_examples=200 if THOROUGH else 30,
            stateful_step_count=50 if THOROUGH else 30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
            derandomize=not THOROUGH,
        ),
    )
