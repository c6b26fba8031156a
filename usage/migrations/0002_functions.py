"""begin and finish, as SQL functions."""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0001_initial"),
        ("ledger", "0002_functions"),
        ("billing", "0002_plans"),
        ("accounts", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(
            ["ALTER TABLE usage_monthlyusage SET (fillfactor = 50)"],
            reverse_sql=migrations.RunSQL.noop,
        ),
        install("usage", "finish", "begin"),
    ]
