from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "jobs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models can be imported only now.
        from jobs import leaving, reconcile  # noqa: F401  leaving adds its part
        from ledger import reconcile as books

        books.add(reconcile.CHECKS, reconcile.COUNTS)
