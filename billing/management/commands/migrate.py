"""``migrate``: as Django's, but a new database gets dj-stripe's tables without a minute of it."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connection, transaction
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations import RunPython, RunSQL
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

APP = "djstripe"


class Command(migrate.Command):
    """Apply what other apps have, make the tables that dj-stripe's migrations end in, record these
    as applied, and go on as Django does.

    Run one after the other dj-stripe's take some 45 seconds of CPU on an empty database, for Django
    renders all models anew at nearly each step; what they end in, it renders once. The other apps
    come first for the same reason: each change of a user's table would render dj-stripe's models
    with it. Django alone does it all when dj-stripe has a table or an applied migration, when a
    migration of its does more than shape tables, and when less than everything is asked for.

    With dj-stripe 2.11.0 the schemas that pg_dump shows of the two ways were compared: the same
    tables, columns with types and nullability, defaults, indexes, constraints by the same names,
    and sequences. Only the order of columns within tables differs.
    """

    def handle(self, *args: Any, **options: Any) -> Any:
        if asks_for_all(options) and not is_begun():
            self.verbosity = options["verbosity"]
            tell: Any = self.migration_progress_callback
            executor = MigrationExecutor(connection, tell)
            if shapes_tables_alone(executor.loader):
                self._begin(executor)
        return super().handle(*args, **options)

    def _begin(self, executor: MigrationExecutor) -> None:
        loader = executor.loader
        executor.migrate(others(loader))
        with transaction.atomic():  # all or none, or what is left would be applied on top
            with connection.schema_editor() as editor:
                create_tables(editor, loader)
            for node in migrations(loader):
                self.migration_progress_callback("apply_start", loader.graph.nodes[node])
                executor.recorder.record_applied(*node)
                self.migration_progress_callback("apply_success", loader.graph.nodes[node])


def asks_for_all(options: dict[str, Any]) -> bool:
    """Whether these are the options of somebody who wants every migration, and for real."""
    part = (
        "app_label",
        "migration_name",
        "plan",
        "check_unapplied",
        "fake",
        "fake_initial",
        "prune",
    )
    return options["database"] == "default" and not any(options.get(name) for name in part)


def is_begun() -> bool:
    """Whether dj-stripe has a table here, or a migration that was applied."""
    applied = MigrationRecorder(connection).applied_migrations()
    return any(app == APP for app, _ in applied) or any(
        name.startswith(f"{APP}_") for name in connection.introspection.table_names()
    )


def shapes_tables_alone(loader: MigrationLoader) -> bool:
    """Whether its tables are all that dj-stripe's migrations leave behind."""
    operations = [one for node in migrations(loader) for one in loader.graph.nodes[node].operations]
    return not any(isinstance(one, RunPython | RunSQL) for one in operations)


def migrations(loader: MigrationLoader) -> list[tuple[str, str]]:
    """All of dj-stripe's, in their order."""
    [last] = loader.graph.leaf_nodes(APP)
    return [node for node in loader.graph.forwards_plan(last) if node[0] == APP]


def others(loader: MigrationLoader) -> list[tuple[str, str]]:
    """The last migrations of all other apps, as far as they can do without dj-stripe's."""
    plan = loader.graph.forwards_plan
    return [leaf for leaf in loader.graph.leaf_nodes() if all(app != APP for app, _ in plan(leaf))]


def create_tables(editor: BaseDatabaseSchemaEditor, loader: MigrationLoader) -> None:
    """Every table of dj-stripe's, as its migrations describe the last of them."""
    models = loader.project_state(migrations(loader)[-1]).apps.get_app_config(APP).get_models()
    for model in models:
        if model._meta.managed and not model._meta.proxy:
            editor.create_model(model)
