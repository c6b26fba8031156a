"""What a verb answers tells whose wallet it was."""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_forfeit")]
    operations = [install("ledger", "primitives")]
