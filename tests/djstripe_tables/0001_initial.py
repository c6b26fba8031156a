"""The tables as ``install_djstripe`` makes them on a new database, within seconds."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.loader import MigrationLoader
from django.test import override_settings

from billing.management.commands.install_djstripe import create_tables


def create(apps: Any, editor: BaseDatabaseSchemaEditor) -> None:
    with override_settings(MIGRATION_MODULES={}):  # its real ones
        create_tables(editor, MigrationLoader(None))


class Migration(migrations.Migration):
    dependencies: ClassVar = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations: ClassVar = [migrations.RunPython(create)]
