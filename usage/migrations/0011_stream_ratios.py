from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("usage", "0010_owner_in_begin")]

    operations = [
        migrations.AddField("tokenratio", name, models.BigIntegerField(db_default=0))
        for name in (
            "stream_bytes", "stream_tokens", "stream_events", "event_squares", "event_tokens",
        )
    ]  # fmt: skip
