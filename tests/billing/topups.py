"""Wallets that run low, for tests of automatic top-up."""

from datetime import datetime

from accounts.models import User
from billing import checkout, payments, topup
from billing.models import Customer, Order, TopUp
from ledger import verbs
from ledger.balances import balance_of
from tests.fakes.stripe.handle import FakeStripe

CREDIT = 1_000_000
PAYS = "4242424242424242"
FAILS_LATER = "4000000000000341"
AUTHENTICATES = "4000002500003155"

_number = iter(range(1_000_000))


def buy(fake: FakeStripe, user: User, quantity: int = 20, card: str = PAYS) -> None:
    """Credits on the Checkout page, which leaves the card saved."""
    order = checkout.open_credits(user, quantity)
    fake.pay(order.stripe_id, card=card)
    payments.apply_session(order.stripe_id)


def card_of(fake: FakeStripe, user: User, card: str) -> None:
    """Another card for later charges."""
    fake.replace_card(Customer.objects.get(user=user).stripe_id, card)


def switch_on(user: User, threshold: int = 5, quantity: int = 50, cap: int = 200) -> TopUp:
    return topup.switch_on(user, threshold=threshold * CREDIT, quantity=quantity, monthly_cap=cap)


def spend_to(user: User, left: int) -> None:
    """Spend until ``left`` whole credits are available."""
    amount = balance_of(user).available - left * CREDIT
    assert amount > 0
    verbs.spend(
        account=verbs.wallet_of(user=user.pk), amount=amount, key=f"spend-to:{next(_number)}"
    )


def attempts(user: User) -> list[str]:
    """The states of the top-ups that were tried, oldest first."""
    tried = Order.objects.filter(user=user, kind="top_up").order_by("created")
    return list(tried.values_list("state", flat=True))


def credits_of(user: User) -> int:
    """What is available, whole credits."""
    whole, rest = divmod(balance_of(user).available, CREDIT)
    assert rest == 0
    return whole


def waits_until(user: User) -> datetime | None:
    return TopUp.objects.get(user=user).next_try_at
