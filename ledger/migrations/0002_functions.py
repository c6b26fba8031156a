"""The accounts that belong to nobody, the guards, and the verbs' SQL."""

from django.db import migrations

from common.sqlfiles import install

STORAGE = """
-- Room on each page for the next version of a row, so that updates stay heap-only.
ALTER TABLE ledger_account SET (fillfactor = 50);
ALTER TABLE ledger_grant SET (fillfactor = 50);
ALTER TABLE ledger_hold SET (fillfactor = 70);
"""

SYSTEM_ACCOUNTS = """
INSERT INTO ledger_account (id, kind) OVERRIDING SYSTEM VALUE VALUES
    (1, 'sales'), (2, 'promotion'), (3, 'revenue'), (4, 'payouts'), (5, 'write_off'),
    (6, 'expired')
ON CONFLICT DO NOTHING;
SELECT setval(pg_get_serial_sequence('ledger_account', 'id'), 1000, false);
"""


class Migration(migrations.Migration):
    dependencies = [("ledger", "0001_initial")]
    operations = [
        migrations.RunSQL([STORAGE], reverse_sql=migrations.RunSQL.noop),
        install("ledger", "guards", "primitives", "verbs", "sweep"),
        migrations.RunSQL([SYSTEM_ACCOUNTS], reverse_sql=migrations.RunSQL.noop),
    ]
