from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from billing import (
            leaving,  # noqa: F401  adds its part; models can be imported only now
            receivers,  # noqa: F401  the same
            reconcile,
            reconcile_stripe,
        )
        from ledger import reconcile as books

        books.add(reconcile.CHECKS, reconcile.COUNTS)
        books.OTHERS.append(reconcile_stripe.BOOKS)
