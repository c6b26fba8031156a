"""``bin/manage reconcile``: prove the books."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from common.errors import FareboxError
from ledger.reconcile import OTHERS, Books, reconcile


class Command(BaseCommand):
    help = (
        "Proves the books. Prints each violation and exits 1, or prints what was counted and"
        " exits 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead")
        for books in OTHERS:
            parser.add_argument(f"--{books.name}", action="store_true", help=books.help)

    def handle(self, *_: Any, **options: Any) -> None:
        run = reconcile()
        counts, violations = dict(run.counts), list(run.violations)
        for books in OTHERS:
            if options[books.name]:
                more, differences = compare(books)
                counts |= more
                violations += differences
        if options["json"]:
            said = {"seconds": str(run.seconds), "counts": counts, "violations": violations}
            self.stdout.write(json.dumps(said))
        elif violations:
            self.stdout.write("\n".join(violations))
        else:
            counted = ", ".join(f"{number} {name}" for name, number in counts.items())
            self.stdout.write(f"The books hold: {counted}, in {run.seconds} s.")
        if violations:
            sys.exit(1)


def compare(books: Books) -> tuple[dict[str, int], list[str]]:
    """Raises ``CommandError`` when the other books can't be read."""
    try:
        return books.compare()
    except FareboxError as error:
        raise CommandError(f"--{books.name}: {error.message}") from None
