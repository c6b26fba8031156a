"""Calls that end while a new version's migrations run: what was delivered is booked."""

import re

import pytest
from django.db.migrations import RunSQL
from django.db.migrations.loader import MigrationLoader

from tests.fakes.providers import FakeProviders
from tests.proxy.dialects import OPENAI
from tests.proxy.riders import Rider
from tests.proxy.server import Farebox, wait_for
from tests.proxy.test_observability import broken
from usage.models import Call

pytestmark = pytest.mark.xdist_group("proxy-slow")

WRITES = re.compile(r"INSERT INTO usage_call \(([^)]+)\)")
# Those up to here were there before anybody had calls that a migration could run beside.
FIRST = "0006"


def test_a_function_that_is_missing_for_a_moment_is_waited_for(
    farebox: Farebox, fake: FakeProviders, rider: Rider
) -> None:
    with broken("usage_finish"):
        assert OPENAI.ask(farebox, rider.secret).status == 200
        assert not rider.calls()
    wait_for(lambda: rider.calls(), 15, "the call is booked")
    call = rider.only_call()
    assert (call.status, call.estimated) == (Call.Status.COMPLETED, False)
    assert rider.spent == call.spent > 0


def test_no_migration_installs_a_function_before_what_it_writes_is_there() -> None:
    loader = MigrationLoader(None)
    looked_at = 0
    for app, name in loader.disk_migrations:
        if app != "usage" or name < FIRST:
            continue
        for operation in loader.disk_migrations[app, name].operations:
            sql = "".join(operation.sql) if isinstance(operation, RunSQL) else ""
            for columns in WRITES.findall(sql):
                state = loader.project_state((app, name))
                fields = state.apps.get_model("usage", "Call")._meta.fields
                assert {one.strip() for one in columns.split(",")} <= {f.column for f in fields}
                looked_at += 1
    assert looked_at
