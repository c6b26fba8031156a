"""``usage_finish`` tells who made the call. What a function answers can't be changed in place."""

from django.db import migrations

from common.sqlfiles import install

DROP = "DROP FUNCTION IF EXISTS usage_finish(uuid, text, bigint, bigint, jsonb, boolean, text, int)"


class Migration(migrations.Migration):
    dependencies = [("usage", "0003_signed_in")]
    operations = [
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("usage", "finish"),
    ]
