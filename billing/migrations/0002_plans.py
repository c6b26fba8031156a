"""The plans a deployment starts with; the operator edits them in the admin."""

from django.db import migrations

CREDIT = 1_000_000

PLANS = [
    {
        "slug": "free",
        "name": "Free",
        "monthly_allowance": CREDIT,
        "requests_per_minute": 20,
        "open_calls": 4,
        "max_output_tokens": 8_192,
        "is_default": True,
    },
    {
        "slug": "pro",
        "name": "Pro",
        "monthly_allowance": 100 * CREDIT,
        "requests_per_minute": 120,
        "open_calls": 20,
    },
    # For the operator's own people and programs: no limits but the wallet's balance.
    {"slug": "internal", "name": "Internal", "for_sale": False},
]


def make_plans(apps, schema_editor):
    plans = apps.get_model("billing", "Plan")
    for plan in PLANS:
        plans.objects.get_or_create(slug=plan["slug"], defaults=plan)


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [migrations.RunPython(make_plans, migrations.RunPython.noop)]
