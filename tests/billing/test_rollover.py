"""The free plan's allowance of each further month: one grant a user and month, whoever runs it."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from billing import rollover
from billing.entitlements import assign_plan
from billing.models import Allowance, Plan
from billing.tasks import roll_over
from ledger import verbs
from ledger.balances import balance_of
from ledger.models import Grant

pytestmark = pytest.mark.usefixtures("proved")

CREDIT = 1_000_000
NOVEMBER = datetime(2026, 11, 21, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def free(proved: None) -> Plan:
    """The default plan, with five credits a month."""
    Plan.objects.filter(is_default=True).update(monthly_allowance=5 * CREDIT)
    return Plan.objects.get(is_default=True)


def people(count: int) -> list[User]:
    """Who have claimed a first allowance, some time ago."""
    made = User.objects.bulk_create(
        User(email=f"rider{number}@example.com") for number in range(count)
    )
    long_ago = timezone.now() - timedelta(days=100)
    Allowance.objects.bulk_create(Allowance(user=user, claimed_at=long_ago) for user in made)
    return made


def grants() -> dict[str, int]:
    """How many grants there are of each key."""
    return Counter(Grant.objects.values_list("transfer__key", flat=True))


def test_each_month_is_granted_once_and_expires_with_it():
    (user,) = people(1)
    assert [rollover.run(NOVEMBER), rollover.run(NOVEMBER + timedelta(days=1))] == [1, 0]
    assert rollover.run(DECEMBER) == 1
    assert grants() == {f"allowance:{user.pk}:2026-11": 1, f"allowance:{user.pk}:2026-12": 1}
    lot = Grant.objects.order_by("id").first()
    assert lot is not None
    assert (lot.kind, lot.amount, lot.expires_at) == ("allowance", 5 * CREDIT, DECEMBER)


def test_the_year_turns():
    people(1)
    rollover.run(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC))
    rollover.run(datetime(2027, 1, 1, tzinfo=UTC))
    assert set(Grant.objects.values_list("expires_at", flat=True)) == {
        datetime(2027, 1, 1, tzinfo=UTC),
        datetime(2027, 2, 1, tzinfo=UTC),
    }


def test_only_who_claimed_is_there_and_on_the_free_plan():
    claimed, unclaimed, gone, paying, staffs = people(5)
    Allowance.objects.filter(user=unclaimed).update(claimed_at=None)
    User.objects.filter(pk=gone.pk).update(is_active=False)
    assign_plan(user=paying, plan=Plan.objects.get(slug="pro"))
    Allowance.objects.filter(user=staffs).delete()
    assert rollover.run(NOVEMBER) == 1
    assert balance_of(claimed).posted == 5 * CREDIT


def test_who_has_the_free_plan_by_hand_gets_it_too(free):
    (user,) = people(1)
    assign_plan(user=user, plan=free)
    assert rollover.run(NOVEMBER) == 1


def test_a_free_plan_without_allowance_grants_nothing():
    people(1)
    Plan.objects.filter(is_default=True).update(monthly_allowance=0)
    assert rollover.run(NOVEMBER) == 0


def test_another_allowance_in_the_middle_of_a_month_changes_only_the_next():
    people(1)
    rollover.run(NOVEMBER)
    Plan.objects.filter(is_default=True).update(monthly_allowance=7 * CREDIT)
    assert rollover.run(NOVEMBER) == 0
    rollover.run(DECEMBER)
    assert list(Grant.objects.order_by("id").values_list("amount", flat=True)) == [
        5 * CREDIT,
        7 * CREDIT,
    ]


def test_a_frozen_wallet_settles_with_it_first():
    (user,) = people(1)
    wallet = verbs.wallet_of(user=user.pk)
    lot = verbs.grant(account=wallet, amount=3 * CREDIT, kind="purchase", key="p")
    verbs.spend(account=wallet, amount=3 * CREDIT, key="s")
    verbs.revoke(grant=lot.grant, amount=3 * CREDIT, key="r")
    rollover.run(NOVEMBER)
    now = balance_of(user)
    assert (now.posted, now.owed) == (2 * CREDIT, 0)


def test_the_task_grants_the_month_that_is():
    people(1)
    assert [roll_over(), roll_over()] == [1, 0]


# --- two processes ----------------------------------------------------------------------------
PEOPLE = 250
SCRIPT = """
import sys, uuid
from datetime import datetime
import django
django.setup()
from django.db import connection
from billing import rollover
connection.ensure_connection()
print("ready", flush=True)
for line in sys.stdin:
    word, moment = line.split()
    if word == "without-key":
        rollover.allowance.key_of = lambda user, now: uuid.uuid4().hex
    print(rollover.run(datetime.fromisoformat(moment)), flush=True)
"""


@pytest.fixture
def processes(dsn: str) -> Iterator[list["subprocess.Popen[str]"]]:
    """Two that are ready to run the rollover at a line's notice."""
    environment = os.environ | {"DATABASE_URL": dsn, "DJANGO_SETTINGS_MODULE": "config.settings"}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    yield running
    for process in running:
        process.communicate(timeout=20)
        assert process.returncode == 0


def both(processes: list["subprocess.Popen[str]"], word: str, now: datetime) -> None:
    """Have both run it at the same moment, and wait for both."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{word} {now.isoformat()}\n")
        process.stdin.flush()
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()


def test_two_processes_at_once_and_again_next_day(processes):
    users = people(PEOPLE)
    both(processes, "run", NOVEMBER)
    once = {f"allowance:{user.pk}:2026-11": 1 for user in users}
    assert grants() == once
    both(processes, "run", NOVEMBER + timedelta(days=1))
    assert grants() == once
    both(processes, "run", DECEMBER)
    assert grants() == once | {f"allowance:{user.pk}:2026-12": 1 for user in users}
    assert Grant.objects.count() == 2 * PEOPLE

    # The control: the same without the key that names user and month.
    both(processes, "without-key", DECEMBER + timedelta(days=40))
    assert Grant.objects.count() > 3 * PEOPLE
