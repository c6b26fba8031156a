"""Tokens a minute, and idempotency keys of calls, in ``usage_begin``; the next one sees to
``usage_finish``, which fills in a column that is not there yet."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from common.sqlfiles import install

# What a function takes and answers can't be changed in place.
DROP = """
DROP FUNCTION IF EXISTS usage_begin(uuid, bytea, bigint, text, text, text, jsonb, bigint,
    bigint, bigint, bigint, boolean, bigint, int, interval);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0007_first_providers"),
        ("ledger", "0006_token_tat"),
        ("billing", "0009_tokens_per_minute"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.CreateModel(
            name="CallKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=255)),
                ("request", models.BinaryField()),
                ("call", models.UUIDField()),
                ("output_tokens", models.BigIntegerField()),
                ("created", models.DateTimeField(db_index=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="callkey",
            constraint=models.UniqueConstraint(fields=("user", "key"), name="usage_callkey_once"),
        ),
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("usage", "begin"),
    ]
