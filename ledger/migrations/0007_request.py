"""A key stands for the whole of what was asked with it, by a digest that its caller makes."""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("ledger", "0006_token_tat")]
    operations = [install("ledger", "primitives", "verbs")]
