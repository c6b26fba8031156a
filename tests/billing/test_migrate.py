"""dj-stripe's tables, made at once: those that its models need, and never a second time."""

from io import StringIO

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection, models
from django.db.migrations import AddField, RunPython
from django.db.migrations.loader import MigrationLoader

from billing.management.commands import migrate


@pytest.fixture
def loader(db):
    return MigrationLoader(connection)


def test_its_migrations_do_nothing_that_would_be_left_out(loader):
    assert migrate.shapes_tables_alone(loader)
    assert migrate.migrations(loader)[0] == ("djstripe", "0001_initial")
    others = {app for app, _ in migrate.others(loader)}
    assert others == {app for app, _ in loader.disk_migrations} - {"djstripe"}


@pytest.mark.parametrize("operation", [RunPython(RunPython.noop)])
def test_a_version_that_moves_data_is_left_to_migrate(loader, operation):
    last = loader.graph.nodes[migrate.migrations(loader)[-1]]
    last.operations = [*last.operations, operation]
    assert not migrate.shapes_tables_alone(loader)
    last.operations[-1] = AddField("account", "more", models.IntegerField(null=True))
    assert migrate.shapes_tables_alone(loader)


@pytest.mark.django_db
def test_a_database_that_has_them_is_left_alone():
    assert migrate.is_begun()
    out = StringIO()
    call_command("migrate", stdout=out)
    assert "No migrations to apply" in out.getvalue()
    assert "Applying" not in out.getvalue()


def test_its_migrations_are_known_as_applied(loader):
    assert set(migrate.migrations(loader)) <= set(loader.applied_migrations)


@pytest.mark.parametrize(
    "asked",
    [{"app_label": "djstripe"}, {"plan": True}, {"check_unapplied": True}, {"fake": True}],
)
def test_less_than_everything_is_left_to_django(asked):
    options = {"database": "default", "app_label": None, "plan": False, "fake": False}
    assert migrate.asks_for_all(options)
    assert not migrate.asks_for_all(options | asked)


@pytest.mark.django_db
def test_every_column_of_its_models_is_there():
    """What the migrations describe is what the models of this version ask for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, is_nullable = 'YES' FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name LIKE 'djstripe\\_%'"
        )
        found = set(cursor.fetchall())
    wanted = {
        (model._meta.db_table, field.column, field.null)
        for model in apps.get_app_config("djstripe").get_models(include_auto_created=True)
        for field in model._meta.local_fields
    }
    assert wanted
    assert found == wanted
