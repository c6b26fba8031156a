"""The providers a deployment starts with; and a call is recorded with the one that answered."""

from django.db import migrations

from common.sqlfiles import install

# By its old arguments: beside the new ones it would be another function of the same name.
DROP = "DROP FUNCTION IF EXISTS usage_finish(uuid, text, bigint, bigint, jsonb, boolean, text, int)"

PROVIDERS = {
    "openai": {"kind": "openai", "price_list": "openai"},
    "anthropic": {"kind": "anthropic", "price_list": "anthropic"},
    "demo": {"kind": "demo"},
}
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


def make_providers(apps, schema_editor):
    """The providers that the environment can have keys for, and the built-in one."""
    providers = apps.get_model("usage", "Provider")
    keys = apps.get_model("usage", "ProviderKey")
    for name, values in PROVIDERS.items():
        provider, _ = providers.objects.get_or_create(name=name, defaults=values)
        if name in KEYS:
            keys.objects.get_or_create(
                provider=provider, label="environment", defaults={"env": KEYS[name]}
            )


class Migration(migrations.Migration):
    dependencies = [("usage", "0006_providers")]
    operations = [
        migrations.RunPython(make_providers, migrations.RunPython.noop),
        migrations.RunSQL([DROP], reverse_sql=migrations.RunSQL.noop),
        install("usage", "finish"),
    ]
