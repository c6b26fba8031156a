"""Somebody who makes paid calls, and what the database says of them afterwards."""

from dataclasses import dataclass
from datetime import UTC, datetime

from accounts import verbs as accounts
from accounts.models import User
from billing.entitlements import assign_plan
from billing.models import Plan
from ledger import verbs
from ledger.models import Account, Hold, Transfer
from tests.proxy.server import wait_for
from usage.models import Call, MonthlyUsage

CREDIT = 1_000_000


@dataclass(frozen=True)
class Rider:
    """A user with a key and a funded wallet. Amounts are microcredits."""

    user: User
    wallet: int
    secret: str
    funded: int

    @property
    def account(self) -> Account:
        return Account.objects.get(pk=self.wallet)

    @property
    def spent(self) -> int:
        """What has left the wallet."""
        return self.funded - self.account.posted

    @property
    def held(self) -> int:
        return self.account.held

    def calls(self) -> list[Call]:
        """Ended calls, oldest first."""
        return list(self.user.calls.order_by("started"))

    def settled(self, count: int, seconds: float = 10) -> list[Call]:
        """So many calls, oldest first, once all of them have ended and nothing is held."""
        wait_for(lambda: self.user.calls.count() >= count, seconds, "the calls are recorded")
        calls = self.calls()
        assert (len(calls), self.held) == (count, 0)
        return calls

    def only_call(self, seconds: float = 10) -> Call:
        """The one call there was, once it has ended and nothing is held any more."""
        wait_for(lambda: self.user.calls.exists(), seconds, "the call is recorded")
        (call,) = self.calls()
        assert self.held == 0
        return call

    def open_holds(self) -> int:
        return Hold.objects.filter(account=self.wallet, state=Hold.State.OPEN).count()

    def captures(self) -> list[Transfer]:
        """What calls took, oldest first."""
        return list(Transfer.objects.filter(debit=self.wallet).order_by("id"))

    def month(self) -> tuple[int, int, int, int]:
        """(requests, input tokens, output tokens, spent) of this month."""
        rows = MonthlyUsage.objects.filter(
            user=self.user, month=f"{datetime.now(UTC):%Y-%m}"
        ).values_list("requests", "input_tokens", "output_tokens", "spent")
        sums = [sum(column) for column in zip(*rows, strict=True)] or [0, 0, 0, 0]
        return (sums[0], sums[1], sums[2], sums[3])

    def assert_untouched(self) -> None:
        """Nothing was begun: no hold was ever made, nothing is held, spent or counted."""
        assert not Hold.objects.filter(account=self.wallet).exists()
        assert (self.spent, self.held, self.calls()) == (0, 0, [])
        assert self.month() == (0, 0, 0, 0)


def make_rider(
    email: str = "rider@example.com", *, credits: int = 1_000 * CREDIT, plan: str = "internal"
) -> Rider:
    """A new user on ``plan``, with ``credits`` microcredits that were bought."""
    user = accounts.create_user(email=email)
    assign_plan(user=user, plan=Plan.objects.get(slug=plan))
    wallet = verbs.wallet_of(user=user.pk)
    if credits:
        verbs.grant(account=wallet, amount=credits, kind="purchase", key=f"fund:{email}")
    return Rider(user, wallet, accounts.issue_key(user=user, name="test").secret, credits)
