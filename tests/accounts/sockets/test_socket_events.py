"""What a socket hears: the state first, then each change after its commit, and no other."""

import httpx
import pytest
from django.db import transaction

from accounts import events
from accounts import verbs as accounts
from billing import entitlements
from billing.models import Plan
from ledger import verbs
from tests.accounts.sockets.client import key_headers, open_socket, open_told
from tests.proxy.dialects import OPENAI
from tests.proxy.riders import CREDIT


@pytest.fixture
def headers(rider):
    return key_headers(rider.secret)


def balance(available, held=0):
    def words(amount):
        return f"{amount // CREDIT}.{amount % CREDIT:06d}"

    return {
        "available": words(available),
        "held": words(held),
        "posted": words(available + held),
    }


def test_the_first_message_is_what_me_answers(farebox, rider, headers):
    with open_socket(farebox, headers) as socket:
        me = httpx.get(f"{farebox.url}/api/me", headers=headers).json()
        assert socket.next() == {"type": "state", **me}
        assert me["balance"] == balance(1_000 * CREDIT)
        assert socket.is_quiet()


def test_a_grant_is_heard_after_its_commit_by_all_sockets_of_its_user_alone(
    farebox, rider, headers
):
    other = accounts.create_user(email="other@example.com")
    secret = accounts.issue_key(user=other, name="test").secret
    with (
        open_told(farebox, headers) as first,
        open_told(farebox, headers) as second,
        open_told(farebox, key_headers(secret)) as stranger,
    ):
        with transaction.atomic():
            verbs.grant(account=rider.wallet, amount=CREDIT, kind="promotion", key="g")
            assert first.is_quiet()
        told = {"type": "balance", "balance": balance(1_001 * CREDIT)}
        assert first.next(1) == told
        assert second.next(1) == told
        assert stranger.is_quiet()


def test_what_is_rolled_back_is_never_heard(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        with transaction.atomic():
            verbs.grant(account=rider.wallet, amount=CREDIT, kind="promotion", key="g")
            events.publish(rider.user.pk, "job", {"id": "1"})
            transaction.set_rollback(True)
        assert socket.is_quiet()


def test_every_verb_that_moves_credits_is_heard(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        spent = verbs.spend(account=rider.wallet, amount=10, key="s")
        assert socket.next(1)["balance"] == balance(1_000 * CREDIT - 10)
        verbs.refund(transfer=spent.transfer, amount=10, key="r")
        assert socket.next(1)["balance"] == balance(1_000 * CREDIT)


def test_a_paid_call_is_heard(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        assert OPENAI.ask(farebox, rider.secret).status == 200
        call = rider.only_call()
        assert call.spent > 0
        told = socket.until("balance", balance=balance(1_000 * CREDIT - call.spent))
        assert told["balance"]["held"] == "0.000000"


def test_a_plan_is_heard(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        entitlements.assign_plan(user=rider.user, plan=Plan.objects.get(slug="pro"))
        assert socket.next(1) == {
            "type": "subscription",
            "plan": {"slug": "pro", "name": "Pro", "status": "active", "period_end": None},
        }
        me = httpx.get(f"{farebox.url}/api/me", headers=headers).json()
        assert me["plan"]["slug"] == "pro"


def test_jobs_and_passes_are_handed_on(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        job = {"id": "7", "state": "done", "spent": "0.100000", "result": {"n": [1, None, True]}}
        events.publish(rider.user.pk, "job", job)
        assert socket.next(1) == {"type": "job", "job": job}
        events.publish(rider.user.pk, "pass", {"id": "8", "domain": "demo.farebox.test"})
        assert socket.next(1)["pass"]["id"] == "8"


def test_of_many_changes_the_last_is_told_and_is_right(farebox, rider, headers):
    with open_told(farebox, headers) as socket:
        for n in range(200):
            verbs.grant(account=rider.wallet, amount=CREDIT, kind="promotion", key=f"g{n}")
        last = balance(1_200 * CREDIT)
        told = 0
        while socket.next(2)["balance"] != last:
            told += 1
        assert told < 100, "changes are gathered"
        assert socket.is_quiet()
