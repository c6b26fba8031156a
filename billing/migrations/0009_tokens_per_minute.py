from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0008_receivers")]
    operations = [
        migrations.AddField(
            model_name="plan",
            name="tokens_per_minute",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="in and out; an open call counts with the most it can use",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("tokens_per_minute__isnull", True),
                    ("tokens_per_minute__gt", 0),
                    _connector="OR",
                ),
                name="billing_plan_tokens_above_zero",
            ),
        ),
    ]
