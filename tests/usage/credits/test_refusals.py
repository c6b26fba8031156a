"""What /api/credits refuses: the contract's errors, and nothing has moved."""

import uuid
from datetime import timedelta

import pytest

from accounts import leaving
from accounts.models import User
from ledger import verbs as ledger
from tests.usage.calls import begin
from tests.usage.credits.service import CREDIT

pytestmark = pytest.mark.django_db

SPEND = {"account": "rider@example.com", "amount": "1", "reason": "a poster"}
NOBODYS = str(uuid.UUID(int=7))


@pytest.fixture
def rich(wallet, fund):
    fund(wallet, 20 * CREDIT)
    return wallet


AMOUNTS = (
    "0", "0.000000", "-1", "+1", "1e3", "1E-6", "0.0000001", "1.0000000", "NaN", "Infinity", "",
    " 1", "1,5", "0x10", "١", "9007199254.740993", "999999999999", "1000000000000000000000", 1, 1.5,
    -1, 0, True, None, ["1"], {"credits": "1"},
)  # fmt: skip


def test_amounts_that_can_not_be(shop, user, rich, books):
    hold = shop.done("hold", account=user.pk, amount="1", reason="a film")["hold"]
    spent = shop.done("spend", account=user.pk, amount="1", reason="a film")["transfer"]
    before = books()
    for verb, about in (
        ("spend", {"account": user.pk, "reason": "a poster"}),
        ("hold", {"account": user.pk, "reason": "a poster"}),
        ("capture", {"hold": hold}),
        ("refund", {"transfer": spent}),
    ):
        for amount in AMOUNTS:
            error = shop.refused(verb, 400, amount=amount, **about)
            assert (error["type"], error["param"]) == ("invalid_request_error", "amount"), amount
    assert books() == before


BODIES = (
    "[]", '"x"', "7", "null", "{", "\xff", '{"amount": NaN}', '{"amount": Infinity}',
    '{"amount": 1e400}', '{"amount": 1%s}' % ("0" * 5000), "[" * 100_000,
)  # fmt: skip


def test_bodies_that_can_not_be(shop, books):
    before = books()
    for verb in ("hold", "capture", "release", "spend", "refund"):
        for body in BODIES:
            response = shop.client.post(
                f"/api/credits/{verb}",
                body.encode("latin-1"),
                content_type="application/json",
                headers={"idempotency-key": "one"},
            )
            assert response.status_code == 400, (verb, body[:20], response.content)
    assert books() == before


ACCOUNTS = (
    "nobody", "", None, True, 0, -1, 1.5, 2**63, "9" * 30, "a@b\0", "a" * 250 + "@x.org",
    ["rider@example.com"],
)  # fmt: skip
REASONS = ("", "   ", None, "x" * 201, "a\nb", "a\0b", "\ud800", ["x"])
LEASES = (0, 9, 86_401, -1, 1.5, "soon", None, True, 10**30)


def test_other_fields_that_can_not_be(shop, user, rich, books):
    before = books()
    for param, values in (("account", ACCOUNTS), ("reason", REASONS), ("expires_in", LEASES)):
        for value in values:
            error = shop.refused("hold", 400, **(SPEND | {param: value}))
            assert error["param"] == param, value
            if param != "expires_in":
                shop.refused("spend", 400, **(SPEND | {param: value}))
    assert books() == before


def test_fields_that_are_missing(shop, user, rich):
    for missing in SPEND:
        body = {name: value for name, value in SPEND.items() if name != missing}
        for verb in ("spend", "hold"):
            assert shop.refused(verb, 400, **body)["param"] == missing
    for verb, missing in (("capture", "hold"), ("release", "hold"), ("refund", "transfer")):
        assert shop.refused(verb, 400, amount="1")["param"] == missing


def test_an_unknown_account(shop, user, rich, books):
    before = books()
    for account in ("nobody@example.com", 987654321, "987654321"):
        for verb in ("spend", "hold"):
            error = shop.refused(verb, 404, **(SPEND | {"account": account}))
            assert (error["code"], error["param"]) == ("not_found", "account")
    assert books() == before


def test_somebody_who_has_left(shop, user, rich):
    leaving.delete_account(user=user)
    gone = User.objects.get(pk=user.pk)
    for account in (SPEND["account"], gone.pk, gone.email):
        shop.refused("spend", 404, **(SPEND | {"account": account}))


def test_somebody_whom_staff_have_disabled(shop, user, rich, books):
    taken = shop.done("spend", "poster", **SPEND)
    held = shop.done("hold", **SPEND)["hold"]
    User.objects.filter(pk=user.pk).update(is_active=False)
    before = books()
    for verb in ("spend", "hold"):
        error = shop.refused(verb, 403, **SPEND)
        assert (error["code"], error["param"]) == ("permission_denied", "account")
    assert books() == before
    # What was begun before comes to its end, and an answer that was lost is told again.
    assert shop.done("spend", "poster", **SPEND) == taken
    shop.done("release", hold=held)
    shop.done("refund", transfer=taken["transfer"], amount="1")


def test_too_little(shop, user, wallet, fund, books, settings):
    fund(wallet, 4 * CREDIT)
    before = books()
    for verb in ("spend", "hold"):
        response = shop.ask(verb, **(SPEND | {"amount": "5"}))
        assert response.status_code == 402
        assert response["x-should-retry"] == "false"
        error = response.json()["error"]
        assert error["code"] == "insufficient_credits"
        for word in ("5.000000", "4.000000", settings.PUBLIC_URL):
            assert word in error["message"]
    assert books() == before


def test_a_wallet_that_owes(shop, user, wallet, fund, books):
    grant = fund(wallet, 5 * CREDIT).grant
    ledger.spend(account=wallet, amount=3 * CREDIT, key="spent")
    ledger.revoke(grant=grant, amount=5 * CREDIT, key="disputed")
    before = books()
    for verb in ("spend", "hold"):
        assert "frozen" in shop.refused(verb, 402, **SPEND)["message"]
    assert books() == before


def test_more_than_is_held(shop, user, rich, books):
    hold = shop.done("hold", account=user.pk, amount="5", reason="a film")["hold"]
    before = books()
    error = shop.refused("capture", 400, hold=hold, amount="5.000001")
    assert (error["param"], "5.000000" in error["message"]) == ("amount", True)
    assert books() == before


def test_a_hold_ends_once(shop, user, rich, books):
    ways = (("capture", {"amount": "1"}), ("release", {}))
    for end, how in ways:
        hold = shop.done("hold", account=user.pk, amount="5", reason="a film")["hold"]
        shop.done(end, hold=hold, **how)
        before = books()
        for then, how_then in ways:
            response = shop.ask(then, hold=hold, **how_then)
            assert response.status_code == 409
            assert response["x-should-retry"] == "false"
            assert response.json()["error"]["code"] == "completed"
        assert books() == before


def test_holds_and_transfers_there_are_not(shop):
    for hold in (NOBODYS, "x", "", None, 2**200, ["x"]):
        status = 404 if hold == NOBODYS else 400
        assert shop.refused("capture", status, hold=hold, amount="1")["param"] == "hold"
        assert shop.refused("release", status, hold=hold)["param"] == "hold"
    for transfer in (987654321, "x", 0, -1, 2**63, 1.5, None, True):
        status = 404 if transfer == 987654321 else 400
        error = shop.refused("refund", status, transfer=transfer, amount="1")
        assert error["param"] == "transfer", transfer


def test_what_another_service_holds_and_takes_is_its_own(shop, other, user, rich, books):
    hold = shop.done("hold", account=user.pk, amount="5", reason="a film")["hold"]
    spent = shop.done("spend", account=user.pk, amount="5", reason="a film")["transfer"]
    before = books()
    other.refused("capture", 404, hold=hold, amount="1")
    other.refused("release", 404, hold=hold)
    other.refused("refund", 404, transfer=spent, amount="1")
    assert books() == before


def test_what_calls_and_the_operator_moved_is_out_of_reach(shop, user, rich, books):
    call = begin(user, held=CREDIT)
    job = ledger.hold(account=rich, amount=1, key="job:1", kind="job", lease=timedelta(minutes=1))
    taken = ledger.spend(account=rich, amount=CREDIT, key="elsewhere").transfer
    bought = ledger.grant(account=rich, amount=1, kind="purchase", key="bought").transfer
    spent = shop.done("spend", account=user.pk, amount="1", reason="a film")["transfer"]
    refund = shop.done("refund", transfer=spent, amount="1")["transfer"]
    before = books()
    for hold in (str(call), str(job.hold)):
        shop.refused("capture", 404, hold=hold, amount="0.000001")
        shop.refused("release", 404, hold=hold)
    for transfer in (taken, bought, refund):
        shop.refused("refund", 404, transfer=transfer, amount="0.000001")
    assert books() == before


def test_an_idempotency_key_is_needed(shop, user, rich, books):
    before = books()
    for verb in ("hold", "capture", "release", "spend", "refund"):
        for given in ({}, {"idempotency-key": ""}, {"idempotency-key": "x" * 256},
                      {"idempotency-key": "a\tb"}, {"idempotency-key": "é"}):  # fmt: skip
            response = shop.client.post(
                f"/api/credits/{verb}", SPEND, content_type="application/json", headers=given
            )
            assert response.status_code == 400
            assert response.json()["error"]["param"] == "Idempotency-Key"
    assert books() == before


def test_only_post(shop):
    for method in ("get", "put", "delete", "patch"):
        assert getattr(shop.client, method)("/api/credits/spend").status_code == 405
