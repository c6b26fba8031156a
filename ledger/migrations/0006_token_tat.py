"""The pace of a wallet's tokens, beside that of its requests."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("ledger", "0005_low_mark")]
    operations = [
        migrations.AddField(
            model_name="account",
            name="token_tat",
            field=models.DateTimeField(null=True),
        ),
    ]
