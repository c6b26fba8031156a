"""Retries: what a job that failed has asked is kept with it, and another job may ask it again."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from common.sqlfiles import install


class Migration(migrations.Migration):
    dependencies = [("jobs", "0002_functions")]
    operations = [
        migrations.AddField(
            model_name="job",
            name="retried_from",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="retries",
                to="jobs.job",
            ),
        ),
        migrations.AddIndex(
            model_name="job",
            index=models.Index(
                condition=Q(("retried_from__isnull", False)),
                fields=["retried_from"],
                name="jobs_job_retries",
            ),
        ),
        install("jobs", "work", "retry"),
    ]
