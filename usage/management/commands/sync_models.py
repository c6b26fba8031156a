"""``sync_models``: models and prices from genai-prices and the operator's overrides."""

from typing import Any

from django.core.management.base import BaseCommand

from usage.providers import configured_providers
from usage.sync import sync_models


class Command(BaseCommand):
    help = "Bring the table of models and prices up to date; safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        done = sync_models()
        if options["verbosity"] < 1:
            return
        self.stdout.write(
            f"{done.models} models known ({', '.join(configured_providers())} configured), "
            f"{done.added} added, {done.repriced} prices changed"
        )
