"""Every call may be repeated with its Idempotency-Key: the same answer, and no more effect."""

import pytest

from tests.usage.credits.service import CREDIT

pytestmark = pytest.mark.usefixtures("proved")


def test_the_same_answers_and_no_more_effect(shop, user, wallet, fund, books):
    fund(wallet, 20 * CREDIT)
    about = {"account": user.email, "amount": "5", "reason": "a film"}
    hold = {"hold": shop.done("hold", "h", **about)["hold"]}
    idle = {"hold": shop.done("hold", "i", **about)["hold"]}
    taken = shop.done("capture", "c", **hold, amount="2")
    back = {"transfer": taken["transfer"], "amount": "1"}
    asked = [
        ("hold", "h", about),
        ("hold", "i", about),
        ("capture", "c", hold | {"amount": "2"}),
        ("spend", "s", about),
        ("refund", "r", back),
        ("release", "l", idle),
    ]
    first = [shop.ask(verb, key, **body).content for verb, key, body in asked]
    before = books()
    for _ in range(2):
        assert [shop.ask(verb, key, **body).content for verb, key, body in asked] == first
    # The body's form is not what counts, nor is how the account is called.
    shop.done("spend", "s", **(about | {"account": user.pk, "amount": "5.000000"}))
    assert books() == before


def test_another_body_is_refused(shop, user, wallet, make_wallet, fund, books):
    fund(wallet, 50 * CREDIT)
    fund(make_wallet(), 50 * CREDIT)
    about = {"account": user.email, "amount": "5", "reason": "a film"}
    hold = {"hold": shop.done("hold", "h", **about)["hold"]}
    idle = {"hold": shop.done("hold", "i", **about)["hold"]}
    spare = {"hold": shop.done("hold", "j", **about)["hold"]}
    spent = shop.done("spend", "s", **about)["transfer"]
    shop.done("capture", "c", **hold, amount="2")
    shop.done("release", "l", **idle)
    shop.done("refund", "r", transfer=spent, amount="1")
    before = books()
    for verb, key, body in (
        ("hold", "h", about | {"amount": "6"}),
        ("hold", "h", about | {"account": "rider1@example.com"}),
        ("hold", "h", about | {"reason": "a song"}),
        ("hold", "h", about | {"expires_in": 60}),
        ("spend", "h", about),
        ("spend", "s", about | {"amount": "5.000001"}),
        ("spend", "s", about | {"account": "rider1@example.com"}),
        ("spend", "s", about | {"reason": "a song"}),
        ("hold", "s", about),
        ("capture", "c", hold | {"amount": "1"}),
        ("capture", "c", hold | {"amount": "2", "reason": "a song"}),
        ("capture", "c", spare | {"amount": "2"}),
        ("release", "l", spare),
        ("release", "c", hold),
        ("refund", "r", {"transfer": spent, "amount": "2"}),
        ("refund", "r", {"transfer": spent, "amount": "1", "reason": "a song"}),
    ):
        response = shop.ask(verb, key, **body)
        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (422, "key_reused"), (verb, body)
        assert (error["type"], error["param"]) == ("idempotency_error", "Idempotency-Key")
    assert books() == before


def test_two_services_keys_do_not_meet(shop, other, user, wallet, fund):
    fund(wallet, 20 * CREDIT)
    about = {"account": user.email, "amount": "5", "reason": "a film"}
    assert shop.done("spend", "1", **about) != other.done("spend", "1", **about)
    other.done("spend", "2", **(about | {"amount": "4"}))
    answer = shop.done("spend", "2", **(about | {"amount": "6"}))
    assert answer["balance"]["posted"] == "0.000000"


def test_what_was_refused_may_be_asked_again(shop, user, wallet, fund):
    about = {"account": user.email, "amount": "5", "reason": "a film"}
    shop.refused("spend", 402, "s", **about)
    shop.refused("spend", 402, "s", **about)
    fund(wallet, 5 * CREDIT)
    shop.done("spend", "s", **about)
    shop.done("spend", "s", **about)
