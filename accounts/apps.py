from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from accounts import access, events, exports, schema, squatters, staff  # noqa: F401  these register themselves

        access.watch()
        squatters.watch()
        staff.watch()
        access.access_lost.connect(events.access_changed, dispatch_uid="events")
        post_migrate.connect(_sync_extensions, sender=self)


def _sync_extensions(**_: Any) -> None:
    from accounts import extensions  # its models are there by now

    extensions.sync()
