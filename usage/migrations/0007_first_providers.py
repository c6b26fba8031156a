"""The providers a deployment starts with."""

from django.db import migrations

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
    ]
