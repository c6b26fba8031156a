from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "usage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models can be imported only now.
        from ledger import reconcile as books
        from usage import leaving, reconcile  # noqa: F401  leaving adds its part

        books.add(reconcile.CHECKS, reconcile.COUNTS)
