"""begin takes those who are signed in, besides API keys."""

from django.db import migrations

from common.sqlfiles import install

# By its old arguments: beside the new ones it would be another function of the same name.
DROP = """
DROP FUNCTION IF EXISTS usage_begin(
    uuid, bytea, bigint, text, jsonb, bigint, bigint, bigint, bigint, boolean, bigint, int, interval)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0002_functions"),
        ("accounts", "0003_access"),
    ]
    operations = [
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("usage", "begin"),
    ]
