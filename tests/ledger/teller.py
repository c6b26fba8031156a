"""A process that does verbs at random: ``python -m tests.ledger.teller NAME COUNT WALLET ...``.

Refusals are part of the day; anything else ends it with a traceback.
"""

import random
import sys
from datetime import UTC, datetime, timedelta

import django

django.setup()

from common.errors import FareboxError  # noqa: E402
from ledger import sweep, verbs  # noqa: E402

LEASE = timedelta(seconds=60)


class Teller:
    def __init__(self, name, wallets):
        self.dice = random.Random(name)
        self.name = name
        self.wallets = wallets
        self.number = 0
        self.holds, self.transfers, self.grants = [], [], []

    def work(self):
        """One verb."""
        self.number += 1
        key = f"{self.name}:{self.number}"
        act = self.dice.choice(
            [
                self.grant,
                self.hold,
                self.hold,
                self.end,
                self.end,
                self.spend,
                self.spend,
                self.refund,
                self.revoke,
                self.expire,
                self.sweep,
            ]
        )
        try:
            act(key, self.dice.choice(self.wallets), self.dice.randint(1, 100))
        except FareboxError:
            pass

    def grant(self, key, wallet, amount):
        kind = self.dice.choice(["purchase", "allowance", "promotion"])
        soon = datetime.now(UTC) + timedelta(milliseconds=self.dice.randint(0, 300))
        made = verbs.grant(
            account=wallet,
            amount=amount,
            kind=kind,
            key=key,
            expires_at=None if kind == "purchase" else soon,
        )
        self.grants.append(made.grant)

    def hold(self, key, wallet, amount):
        held = verbs.hold(
            account=wallet, amount=amount, minimum=1, kind="api", lease=LEASE, key=key
        )
        self.holds.append(held.hold)

    def end(self, key, _wallet, amount):
        if self.holds:
            hold = self.dice.choice(self.holds)
            if self.dice.random() < 0.3:
                verbs.release(hold=hold, key=key)
            else:
                self.transfers.append(verbs.capture(hold=hold, amount=amount, key=key).transfer)

    def spend(self, key, wallet, amount):
        self.transfers.append(verbs.spend(account=wallet, amount=amount, key=key).transfer)

    def refund(self, key, _wallet, amount):
        if self.transfers:
            transfer = self.dice.choice(self.transfers) or 0
            verbs.refund(transfer=transfer, amount=amount, key=key)

    def revoke(self, key, _wallet, amount):
        if self.grants:
            verbs.revoke(grant=self.dice.choice(self.grants), amount=amount, key=key)

    def expire(self, _key, wallet, _amount):
        verbs.expire(account=wallet)

    def sweep(self, _key, _wallet, _amount):
        sweep.sweep()


if __name__ == "__main__":
    name, count, *wallets = sys.argv[1:]
    teller = Teller(name, [int(wallet) for wallet in wallets])
    for _ in range(int(count)):
        teller.work()
    print(teller.number)
