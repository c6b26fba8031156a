"""What is refused and rolled back for want of credits can be noted, too."""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("ledger", "0007_request")]
    operations = [install("ledger", "low")]
