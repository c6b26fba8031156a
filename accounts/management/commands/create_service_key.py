"""``create_service_key``: a key with which a back end of the operator's moves users' credits."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import services
from common.errors import FareboxError

MOST = 100


class Command(BaseCommand):
    help = (
        "Make a service key and print one JSON line with api_key: it is told this once. "
        "Anything wrong is said in one line, exits 1, and makes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--name", required=True, metavar="N", help="which back end it is for; staff see it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["name"].strip()
        if not 1 <= len(name) <= MOST or not name.isprintable():
            raise CommandError(f"--name: use 1 to {MOST} printable characters")
        try:
            issued = services.issue(name=name)
        except FareboxError as error:
            raise CommandError(error.message) from None
        told = {"name": name, "prefix": issued.key.prefix, "api_key": issued.secret}
        self.stdout.write(json.dumps(told))
