"""Money is conserved: processes at work, one of them killed again and again, the books watched.

After Jepsen's bank test. ``reconcile`` looks at the books all the while, each time in a snapshot
of its own, and must never find anything.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from ledger import sweep
from ledger.models import Account, Hold, Transfer
from ledger.reconcile import reconcile
from tests.ledger.books import query, total

THOROUGH = os.environ.get("FAREBOX_THOROUGH") == "1"
VERBS = 5000 if THOROUGH else 400
KILLS = 20 if THOROUGH else 2


@pytest.fixture
def teller(make_wallet, fund, dsn, tmp_path):
    """Starts a teller on five wallets that all of them share."""
    wallets = [make_wallet() for _ in range(5)]
    for wallet in wallets:
        fund(wallet, 1000)
    started = []

    def teller(name, count):
        with (tmp_path / name).open("wb") as said:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "tests.ledger.teller", name, str(count)]
                    + [str(wallet) for wallet in wallets],
                    env=os.environ
                    | {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"},
                    stdout=said,
                )
            )
        return started[-1]

    yield teller
    for process in started:
        process.kill()
        process.wait()


def work_of(name):
    return Transfer.objects.filter(key__startswith=f"{name}:").count()


def test_money_is_conserved(teller, tmp_path):
    tellers = [teller(f"teller {number}", VERBS) for number in range(2)]
    looks = kills = 0
    victim = None
    deadline = time.monotonic() + (600 if THOROUGH else 90)

    while any(process.poll() is None for process in tellers) or kills < KILLS:
        assert time.monotonic() < deadline, "the tellers take too long"
        assert reconcile().violations == []
        looks += 1
        if victim is None and kills < KILLS:
            name = f"victim {kills}"
            victim = teller(name, 1_000_000)
        elif victim is not None and work_of(name) >= 10:
            victim.send_signal(signal.SIGKILL)
            victim.wait()
            victim, kills = None, kills + 1

    assert looks > KILLS
    assert [process.wait() for process in tellers] == [0, 0]
    assert (tmp_path / "teller 0").read_text().strip() == str(VERBS)
    assert work_of("teller 0") > VERBS / 5
    end_what_the_killed_left(at_least_one=THOROUGH)
    assert reconcile().violations == []
    wallets = Account.objects.filter(kind="wallet")
    system = ["sales", "promotion", "revenue", "payouts", "write_off", "expired"]
    owed = sum(wallets.values_list("owed", flat=True))
    assert sum(map(total, system)) + sum(wallets.values_list("posted", flat=True)) == owed


def end_what_the_killed_left(*, at_least_one):
    """Their holds are open until the lease runs out; then the sweeper gives them back."""
    Hold.objects.filter(state="open").update(lease_until="2020-01-01T00:00:00Z")
    left = Hold.objects.filter(state="open").count()
    assert sweep.sweep() == left >= at_least_one
    ((held,),) = query("SELECT sum(held) FROM ledger_account")
    assert held == 0
