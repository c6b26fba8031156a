"""Tokens of reasoning, a part of the output, apart in the record of a call.

A process of the version before goes on: it reports none, and the database fills in none. Calls end
all the while, so the function changes in the same commit as the table that it writes.
"""

from django.db import migrations, models

from common.sqlfiles import install

# By its old arguments: beside the new ones it would be another function of the same name.
DROP = "DROP FUNCTION IF EXISTS usage_finish(uuid, text, bigint, bigint, jsonb, boolean, text, int)"


class Migration(migrations.Migration):
    dependencies = [("usage", "0008_limits")]
    operations = [
        migrations.AddField(
            model_name="call",
            name="reasoning_tokens",
            field=models.BigIntegerField(db_default=0),
        ),
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("usage", "finish"),
    ]
