"""How often one user may have Stripe asked, by whichever door; and what nobody should send."""

import pytest

from billing import checkout
from billing.models import Order
from tests.billing.buying import error_of, post, signed_in

PAGES = "/dashboard/billing/"


@pytest.fixture
def limited(fake_stripe, user, settings):
    """Three questions, in a window of this test's own."""
    settings.BUY_RATE_USER = f"3/{3600 + user.pk % 1000} seconds"
    return signed_in(user)


def made_there(fake):
    tables = fake.state()["tables"]
    return len(tables["sessions"]) + len(tables["portal_sessions"])


def test_all_doors_share_one_limit(fake_stripe, user, limited):
    order = checkout.open_credits(user, 10)  # the verb itself, as a worker calls it, is not limited
    assert post(limited, "credits", {"quantity": 10}).status_code == 200
    assert post(limited, "checkout", {"plan": "pro"}).status_code == 200
    assert post(limited, "portal", {}).status_code == 200
    made, orders = made_there(fake_stripe), Order.objects.count()
    top_up = {"enabled": True, "threshold": "1", "quantity": 10, "monthly_cap": 100}
    refused = [
        post(limited, "credits", {"quantity": 10}),
        post(limited, "checkout", {"plan": "pro"}),
        post(limited, "portal", {}),
        limited.put("/api/billing/top-up", top_up, "application/json"),
    ]
    for answer in refused:
        assert answer.status_code == 429
        assert error_of(answer)["code"] == "rate_limit_exceeded"
        assert int(answer.headers["retry-after"]) <= 60
    forms = {
        "subscribe": {"plan": "pro"},
        "credits": {"quantity": "10"},
        "portal": {},
        "top-up": {"enabled": "1", "threshold": "1", "bundle": "10", "monthly_cap": "100"},
    }
    for name, said in forms.items():
        answer = limited.post(f"{PAGES}{name}/", said)
        assert answer.status_code == 429, name
        assert b"Too many tries" in answer.content
    quiet = {"accept": "application/json"}
    answer = limited.post(f"{PAGES}confirm/", {"paid": order.stripe_id}, headers=quiet)
    assert answer.status_code == 429
    assert (made_there(fake_stripe), Order.objects.count()) == (made, orders)
    assert limited.get(PAGES).status_code == 200, "what asks nobody goes on"


@pytest.mark.parametrize(
    ("page", "said", "status"),
    [
        ("subscribe", {"plan": "\0"}, 400),
        ("subscribe", {"plan": "pro\0"}, 400),
        ("confirm", {"paid": "cs_\0"}, 302),
        ("credits", {"quantity": "\0"}, 400),
    ],
)
def test_a_byte_that_postgresql_does_not_know_is_bad_input(fake_stripe, user, page, said, status):
    assert signed_in(user).post(f"{PAGES}{page}/", said).status_code == status


def test_the_page_takes_any_address(fake_stripe, user):
    client = signed_in(user)
    for query in ("paid=cs_%00", "paid=%00", "bills=%00", "quantity=%00", "plan=%00", "bills=eyJ9"):
        assert client.get(f"{PAGES}?{query}").status_code == 200, query
