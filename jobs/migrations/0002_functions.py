"""Creating, working on and sweeping jobs, as SQL functions."""

from django.db import migrations

from common.sqlfiles import install

STORAGE = """
-- Room on each page for the next version of a row, which is updated a few times and then kept.
ALTER TABLE jobs_job SET (fillfactor = 60);
ALTER TABLE jobs_item SET (fillfactor = 60);
"""


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial"), ("usage", "0012_jobs")]
    operations = [
        migrations.RunSQL([STORAGE], reverse_sql=migrations.RunSQL.noop),
        install("jobs", "work", "create", "sweep", "webhooks"),
    ]
