"""``usage_finish`` tells whether the call has made the wallet low."""

from django.db import migrations

from common.sqlfiles import install

DROP = "DROP FUNCTION IF EXISTS usage_finish(uuid, text, bigint, bigint, jsonb, boolean, text, int)"


class Migration(migrations.Migration):
    dependencies = [("usage", "0004_owner_in_finish"), ("ledger", "0005_low_mark")]
    operations = [
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("usage", "finish", "begin"),
    ]
