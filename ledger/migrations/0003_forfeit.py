"""Wallets that are closed, when their owner leaves for good."""

from django.db import migrations, models

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_functions")]
    operations = [
        migrations.AddField(
            model_name="account",
            name="closed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        install("ledger", "primitives", "forfeit"),
    ]
