from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import schema  # noqa: F401  registers itself with drf-spectacular

        post_migrate.connect(_sync_extensions, sender=self)


def _sync_extensions(**_: Any) -> None:
    from accounts import extensions  # its models are there by now

    extensions.sync()
