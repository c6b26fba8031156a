"""Mails about money, and what is remembered of low balances."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0006_checkout"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Letter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("key", models.CharField(max_length=300, unique=True)),
                ("template", models.CharField(max_length=50)),
                ("about", models.JSONField(default=dict)),
                (
                    "created",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddIndex(
            model_name="letter",
            index=models.Index(
                condition=models.Q(("sent_at__isnull", True)),
                fields=["created"],
                name="billing_letter_unsent",
            ),
        ),
        migrations.AddField(
            model_name="topup",
            name="counted",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="topup",
            name="low_balance_mail",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="topup",
            name="low_attended",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="topup",
            name="low_mailed_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
