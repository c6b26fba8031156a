"""``/api/billing/top-up``: who may set what."""

import json

import pytest

from accounts import verbs as accounts
from billing import topping_up
from billing.models import TopUp
from ledger.models import Account
from tests.billing.buying import error_of, signed_in, with_key
from tests.billing.topups import CREDIT, buy, spend_to

PATH = "/api/billing/top-up"
ON = {"enabled": True, "threshold": "5", "quantity": 50, "monthly_cap": 200}


def put(client, body):
    text = body if isinstance(body, str) else json.dumps(body)
    return client.put(PATH, text, "application/json")


@pytest.fixture
def demo(settings):
    settings.ENABLE_PAYMENTS = False


def test_at_first_it_is_off(proved, user, settings):
    body = signed_in(user).get(PATH).json()
    month = body.pop("month")
    assert (month["quantity"], month["amount"], month["currency"]) == (0, 0, "usd")
    assert body == {
        "enabled": False, "threshold": "0.000000", "quantity": 0, "monthly_cap": 0,
        "low_balance_mail": True, "state": "off", "next_try_at": None, "url": None, "message": None,
    }  # fmt: skip


def test_on_changed_and_off_again(proved, demo, user, wallet, fund):
    fund(wallet, 10 * CREDIT)
    client = signed_in(user)
    body = put(client, ON | {"low_balance_mail": False}).json()
    assert (body["enabled"], body["threshold"], body["quantity"], body["monthly_cap"]) == (
        True, "5.000000", 50, 200,
    )  # fmt: skip
    assert (body["state"], body["low_balance_mail"]) == ("ready", False)
    assert Account.objects.get(pk=wallet).low_mark == 5 * CREDIT
    assert put(client, ON | {"threshold": "2.5"}).json()["threshold"] == "2.500000"
    assert Account.objects.get(pk=wallet).low_mark == 2_500_000
    body = put(client, {"enabled": False}).json()
    assert (body["state"], body["quantity"], body["low_balance_mail"]) == ("off", 50, False)
    assert Account.objects.get(pk=wallet).low_mark is None


def test_the_month_counts_what_was_bought(proved, demo, user, wallet, fund):
    fund(wallet, 10 * CREDIT)
    client = signed_in(user)
    put(client, ON)
    spend_to(user, 1)
    topping_up.attend(user.pk)
    month = client.get(PATH).json()["month"]
    assert (month["quantity"], month["amount"]) == (50, 500)


def test_it_needs_a_saved_card(fake_stripe, user):
    client = signed_in(user)
    refused = put(client, ON)
    assert (refused.status_code, error_of(refused)["code"]) == (409, "no_saved_card")
    assert "Buy credits once" in error_of(refused)["message"]
    assert not TopUp.objects.exists()
    buy(fake_stripe, user)
    assert put(client, ON).status_code == 200


def test_stripe_away_changes_nothing(fake_stripe, user):
    buy(fake_stripe, user)
    fake_stripe.fault(path="/v1/customers", status=500, times=4)
    refused = put(signed_in(user), ON)
    assert (refused.status_code, error_of(refused)["code"]) == (503, "unavailable")
    assert not TopUp.objects.exists()
    assert put(signed_in(user), {"enabled": False}).status_code == 200


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"enabled": "true"}, "enabled"),
        ({"enabled": 1}, "enabled"),
        ({"enabled": None}, "enabled"),
        ({"threshold": 5}, "threshold"),
        ({"threshold": "0"}, "threshold"),
        ({"threshold": "-1"}, "threshold"),
        ({"threshold": "1e3"}, "threshold"),
        ({"threshold": "10000.000001"}, "threshold"),
        ({"threshold": None}, "threshold"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -5}, "quantity"),
        ({"quantity": "50"}, "quantity"),
        ({"quantity": 50.0}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": 2**63}, "quantity"),
        ({"quantity": 10_001, "monthly_cap": 20_000}, "quantity"),
        ({"monthly_cap": 49}, "monthly_cap"),
        ({"monthly_cap": 2**63}, "monthly_cap"),
        ({"monthly_cap": "200"}, "monthly_cap"),
        ({"low_balance_mail": "no"}, "low_balance_mail"),
    ],
)
def test_what_is_refused(proved, demo, user, change, param):
    refused = put(signed_in(user), ON | change)
    assert (refused.status_code, error_of(refused)["param"]) == (400, param)
    assert not TopUp.objects.exists()


@pytest.mark.parametrize("missing", ["threshold", "quantity", "monthly_cap", "enabled"])
def test_what_is_missing_is_named(proved, demo, user, missing):
    refused = put(signed_in(user), {name: ON[name] for name in ON if name != missing})
    assert (refused.status_code, error_of(refused)["param"]) == (400, missing)


@pytest.mark.parametrize("body", ["[]", "5", "null", '{"enabled"', '{"enabled": 1e309}'])
def test_bodies_that_are_none(proved, demo, user, body):
    assert put(signed_in(user), body).status_code == 400


def test_a_key_may_look_and_change_nothing(proved, demo, user, client):
    headers = with_key(accounts.issue_key(user=user, name="k").secret)
    assert client.get(PATH, headers=headers).status_code == 200
    refused = client.put(PATH, json.dumps(ON), "application/json", headers=headers)
    assert refused.status_code == 403
    assert client.get(PATH).status_code == 401
