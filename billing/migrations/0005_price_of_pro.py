"""What the plan ``pro`` costs at the start; the operator edits it in the admin."""

from django.db import migrations


def give_pro_a_price(apps, schema_editor):
    plans = apps.get_model("billing", "Plan")
    plans.objects.filter(slug="pro", price=None).update(
        price=900, description="For everyday use: 100 credits a month, and more can be bought."
    )
    plans.objects.filter(slug="free", description="").update(
        description="To try it out: a credit a month, and more can be bought."
    )


class Migration(migrations.Migration):
    dependencies = [("billing", "0004_payments")]
    operations = [migrations.RunPython(give_pro_a_price, migrations.RunPython.noop)]
