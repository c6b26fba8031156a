"""The mark under which a wallet is low, kept by the functions that change its balance anyway."""

from django.db import migrations, models
from django.db.models import Q

from common.sqlfiles import install

# What a function answers can't be changed in place.
DROP = "DROP FUNCTION IF EXISTS ledger__end_hold(ledger_hold, ledger_account, bigint, text, jsonb)"


class Migration(migrations.Migration):
    dependencies = [("ledger", "0004_owner_in_balance")]
    operations = [
        migrations.AddField(
            model_name="account",
            name="low_mark",
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="account",
            name="low_since",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddIndex(
            model_name="account",
            index=models.Index(
                condition=Q(low_since__isnull=False),
                fields=["low_since"],
                name="ledger_account_low",
            ),
        ),
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("ledger", "primitives", "verbs", "forfeit", "low"),
    ]
