"""Tokens of reasoning, a part of the output, apart in the record of a call.

A process of the version before goes on: it reports none, and the database fills in none.
"""

from django.db import migrations, models

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("usage", "0008_limits")]
    operations = [
        migrations.AddField(
            model_name="call",
            name="reasoning_tokens",
            field=models.BigIntegerField(db_default=0),
        ),
        install("usage", "finish"),
    ]
