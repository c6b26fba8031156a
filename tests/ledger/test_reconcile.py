"""reconcile: how a run speaks, and what it keeps. What it finds: ``test_corruption``."""

import json

import pytest
from django.core.management import call_command
from django.db import transaction

from ledger import reconcile as books
from ledger import tasks
from ledger.checks import Check
from ledger.models import Reconciliation, Transfer
from ledger.reconcile import reconcile


def test_the_command_prints_what_it_counted_and_keeps_the_run(spent, capsys):
    call_command("reconcile")

    said = capsys.readouterr().out
    assert said.startswith("The books hold: 7 accounts, 7 transfers, 4 lots, 2 holds, 1 open holds")
    kept = Reconciliation.objects.latest("id")
    assert kept.violations == []
    assert kept.counts["transfers"] == Transfer.objects.count() == 7
    assert kept.seconds > 0


def test_the_command_prints_each_violation_and_exits_1(spent, wallet, tamper, capsys):
    tamper("UPDATE ledger_account SET owed = 3 WHERE id = %s", wallet)

    with pytest.raises(SystemExit) as exit:
        call_command("reconcile")

    assert exit.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines == Reconciliation.objects.latest("id").violations
    assert f"wallet {wallet}: owed is 3, what was revoked and settled makes 0" in lines


def test_the_command_speaks_json(spent, capsys):
    call_command("reconcile", json=True)

    said = json.loads(capsys.readouterr().out)
    assert (said["violations"], said["counts"]["lots"]) == ([], 4)


def test_the_task_counts_violations(spent, wallet, tamper):
    assert tasks.reconcile() == 0
    tamper("UPDATE ledger_account SET held = 49 WHERE id = %s", wallet)
    assert tasks.reconcile() == 1


def test_a_long_list_is_cut(spent, monkeypatch):
    check = Check("many", "SELECT generate_series(1, 1500) AS id", "number {id}")
    monkeypatch.setattr(books, "CHECKS", [check])

    lines = reconcile().violations

    assert len(lines) == 1001
    assert lines[-2:] == ["number 1000", "many: more than 1000 violations; the rest is not listed"]


def test_it_needs_a_snapshot_of_its_own(clean_books):
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        reconcile()
