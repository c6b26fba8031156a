"""POST /api/credits/{hold,capture,release,spend,refund}: what each does, and that it is kept."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import ApiKey
from ledger import sweep
from ledger.models import Hold, Transfer
from tests.usage.credits.service import CREDIT

pytestmark = pytest.mark.usefixtures("proved")


def balance(available, held):
    return {
        "available": f"{available}.000000",
        "held": f"{held}.000000",
        "posted": f"{available + held}.000000",
    }


def test_spend_takes_all_of_it_at_once(shop, user, wallet, fund):
    fund(wallet, 20 * CREDIT)
    answer = shop.done("spend", account=user.email, amount="5", reason="a poster")
    taken = Transfer.objects.get(kind="capture")
    assert answer == {"transfer": taken.pk, "balance": balance(15, 0)}
    assert (taken.debit_id, taken.amount) == (wallet, 5 * CREDIT)
    assert taken.metadata["reason"] == "a poster"
    assert taken.metadata["service"] == str(shop.key.pk)
    me = shop.done("spend", account=user.email, amount="0.000001", reason="a dot")
    assert me["balance"]["available"] == "14.999999"


def test_an_account_goes_by_id_too_and_by_its_address_in_any_case(shop, user, wallet, fund):
    fund(wallet, 4 * CREDIT)
    for account in (user.pk, str(user.pk), f" {user.pk} ", " Rider@Example.com"):
        shop.done("spend", account=account, amount="1", reason="a poster")


def test_hold_and_capture_a_part(shop, user, wallet, fund):
    fund(wallet, 20 * CREDIT)
    held = shop.done("hold", account=user.email, amount="5", reason="a film")
    assert held == {"hold": held["hold"], "balance": balance(15, 5)}
    assert UUID(held["hold"])
    taken = shop.done("capture", hold=held["hold"], amount="2")
    capture = Transfer.objects.get(kind="capture")
    assert taken == {"transfer": capture.pk, "balance": balance(18, 0)}
    assert capture.metadata["reason"] == "a film"  # the hold's, when it has none of its own
    assert Hold.objects.get().state == "captured"


def test_a_capture_may_say_more_of_its_reason(shop, user, wallet, fund):
    fund(wallet, CREDIT)
    held = shop.done("hold", account=user.email, amount="1", reason="a film")
    shop.done("capture", hold=held["hold"], amount="1", reason="a film of 3 minutes")
    assert Transfer.objects.get(kind="capture").metadata["reason"] == "a film of 3 minutes"


def test_release_gives_all_of_it_back(shop, user, wallet, fund):
    fund(wallet, 5 * CREDIT)
    held = shop.done("hold", account=user.email, amount="5", reason="a film")
    assert held["balance"] == balance(0, 5)
    released = shop.done("release", hold=held["hold"])
    assert released == {"hold": held["hold"], "balance": balance(5, 0)}
    assert not Transfer.objects.filter(kind="capture").exists()


def test_refunds_in_parts_add_up_and_no_more(shop, user, wallet, fund):
    fund(wallet, 5 * CREDIT)
    spent = shop.done("spend", account=user.email, amount="5", reason="a film")["transfer"]
    for part, left in (("2", "2.000000"), ("2.999999", "4.999999")):
        back = shop.done("refund", transfer=spent, amount=part)
        assert back["balance"]["available"] == left
    assert back["transfer"] != spent
    refused = shop.refused("refund", 400, transfer=spent, amount="0.000002")
    assert (refused["param"], "0.000001" in refused["message"]) == ("amount", True)
    shop.done("refund", transfer=spent, amount="0.000001", reason="we are sorry")
    told = Transfer.objects.filter(kind="refund").order_by("pk")
    assert [row.metadata["reason"] for row in told] == ["a film", "a film", "we are sorry"]
    shop.refused("refund", 400, transfer=spent, amount="0.000001")


def test_a_capture_is_refunded_like_a_spend(shop, user, wallet, fund):
    fund(wallet, 5 * CREDIT)
    hold = shop.done("hold", account=user.email, amount="5", reason="a film")["hold"]
    taken = shop.done("capture", hold=hold, amount="4")["transfer"]
    shop.refused("refund", 400, transfer=taken, amount="5")
    answer = shop.done("refund", transfer=taken, amount="4")
    assert answer["balance"] == balance(5, 0)


def test_a_hold_that_nobody_ends_is_released_when_its_lease_is_over(shop, user, wallet, fund):
    fund(wallet, 5 * CREDIT)
    before = timezone.now()
    hold = shop.done("hold", account=user.email, amount="5", reason="a film", expires_in=60)["hold"]
    lease = Hold.objects.get().lease_until - before
    assert timedelta(seconds=60) <= lease < timedelta(minutes=10)
    assert sweep.sweep() == 0
    Hold.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    assert sweep.sweep() == 1
    error = shop.refused("capture", 409, hold=hold, amount="1")
    assert (error["code"], "released" in error["message"]) == ("completed", True)


def test_the_usual_lease_and_the_keys_last_use(shop, user, wallet, fund):
    fund(wallet, CREDIT)
    shop.done("hold", account=user.email, amount="1", reason="a film")
    hold = Hold.objects.get()
    assert abs(hold.lease_until - hold.created - timedelta(minutes=15)) < timedelta(minutes=1)
    assert ApiKey.objects.get(pk=shop.key.pk).last_used_at is not None
