"""Providers, their keys, and the routes of models."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0005_low_mark"),
    ]

    operations = [
        migrations.CreateModel(
            name="Provider",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.SlugField(unique=True)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("openai", "OpenAI's protocol"),
                            ("anthropic", "Anthropic's protocol"),
                            ("demo", "built in"),
                        ],
                        max_length=20,
                        verbose_name="speaks",
                    ),
                ),
                ("base_url", models.CharField(blank=True, max_length=300, verbose_name="address")),
                ("enabled", models.BooleanField(default=True)),
                (
                    "on_leaving",
                    models.CharField(
                        choices=[
                            ("cancel", "cut the provider off"),
                            ("drain", "read its answer to the end"),
                        ],
                        default="cancel",
                        help_text="what was delivered is estimated when the provider is cut off; read to the end, its count is exact, and the whole answer is paid for",
                        max_length=10,
                        verbose_name="when a client leaves",
                    ),
                ),
                (
                    "output_field",
                    models.CharField(
                        choices=[
                            ("max_completion_tokens", "max_completion_tokens"),
                            ("max_tokens", "max_tokens"),
                        ],
                        default="max_completion_tokens",
                        help_text="OpenAI's protocol only; many servers that speak it know max_tokens alone",
                        max_length=30,
                        verbose_name="output bound is sent as",
                    ),
                ),
                (
                    "asks_usage",
                    models.BooleanField(
                        default=True,
                        help_text="OpenAI's protocol only: stream_options.include_usage. Off for a server that refuses it and reports usage unasked; an answer without usage is estimated",
                        verbose_name="ask for usage",
                    ),
                ),
                (
                    "price_list",
                    models.SlugField(
                        blank=True,
                        help_text="the provider's id in genai-prices; without one, models are added by hand",
                    ),
                ),
                (
                    "created",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="ModelRoute",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "upstream_name",
                    models.CharField(
                        blank=True,
                        help_text="empty: the name the client gave",
                        max_length=200,
                        verbose_name="name there",
                    ),
                ),
                ("position", models.PositiveSmallIntegerField(default=1)),
                (
                    "model",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="routes",
                        to="usage.aimodel",
                    ),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="routes",
                        to="usage.provider",
                    ),
                ),
            ],
            options={
                "ordering": ["position", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("model", "provider", "upstream_name"), name="usage_route_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="ProviderKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("label", models.CharField(max_length=50)),
                ("weight", models.PositiveSmallIntegerField(default=1)),
                ("enabled", models.BooleanField(default=True)),
                ("secret", models.TextField(blank=True, editable=False)),
                ("shown", models.CharField(blank=True, editable=False, max_length=20)),
                (
                    "env",
                    models.CharField(
                        blank=True, max_length=100, verbose_name="environment variable"
                    ),
                ),
                (
                    "created",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "provider",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="keys",
                        to="usage.provider",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(fields=("provider", "label"), name="usage_key_label"),
                    models.CheckConstraint(
                        condition=models.Q(("weight__gte", 1)), name="usage_key_weight"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("secret", ""), models.Q(("env", ""), _negated=True)),
                            models.Q(models.Q(("secret", ""), _negated=True), ("env", "")),
                            _connector="OR",
                        ),
                        name="usage_key_one_source",
                    ),
                ],
            },
        ),
    ]
