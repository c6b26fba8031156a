"""``sync_plans``: Stripe sells what the plans say."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import setup
from billing.catalog import Catalog
from billing.errors import StripeRefused
from common.errors import FareboxError


class Command(BaseCommand):
    help = (
        "Create or match products and prices at Stripe, the customer portal's configuration and "
        "the webhook endpoint. Prints a line for each thing it did; can run again at any time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would be done, and do nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.ENABLE_PAYMENTS:
            raise CommandError(
                "This deployment is in the demo mode, which has no Stripe to keep in line. "
                "Set STRIPE_SECRET_KEY (and leave ENABLE_PAYMENTS out, or true) first."
            )
        dry = bool(options["dry_run"])
        try:
            Catalog(self.stdout.write, dry_run=dry).sync()
            setup.sync_portal(self.stdout.write, dry_run=dry)
            setup.sync_webhook(self.stdout.write, dry_run=dry)
        except FareboxError as error:
            raise CommandError(_why(error)) from None


def _why(error: FareboxError) -> str:
    """What Stripe refused, in its own words: they help whoever runs this, and hold no secret."""
    said = getattr(error.__cause__, "user_message", None)
    refused = isinstance(error, StripeRefused) and said
    return f"Stripe refused: {said}" if refused else error.message
