"""begin and the sweep know the calls of jobs: those wait in a queue, and end with their jobs."""

from django.db import migrations

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("usage", "0011_stream_ratios"), ("billing", "0009_tokens_per_minute")]
    operations = [install("usage", "finish", "begin")]
