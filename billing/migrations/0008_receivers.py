from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0007_letters")]

    operations = [
        migrations.CreateModel(
            name="CatchUp",
            fields=[
                (
                    "id",
                    models.PositiveSmallIntegerField(
                        default=1, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("until", models.DateTimeField()),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.AddField(
            model_name="payment",
            name="looked_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
    ]
