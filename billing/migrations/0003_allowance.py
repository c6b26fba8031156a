"""The free plan's allowance, and who has claimed one."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

CREDIT = 1_000_000


def give_the_free_plan_one(apps, schema_editor):
    """A deployment older than this has none; what its operator chose stays."""
    plans = apps.get_model("billing", "Plan")
    plans.objects.filter(slug="free", monthly_allowance=0).update(monthly_allowance=CREDIT)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0002_plans"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Allowance",
            fields=[
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="allowance",
                        serialize=False,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                ("claimed_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="AllowancePerson",
            fields=[("hash", models.CharField(max_length=64, primary_key=True, serialize=False))],
        ),
        migrations.CreateModel(
            name="AllowanceRange",
            fields=[
                ("hash", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("day", models.DateField(db_index=True)),
                ("claims", models.PositiveIntegerField()),
            ],
        ),
        migrations.RunPython(give_the_free_plan_one, migrations.RunPython.noop),
    ]
