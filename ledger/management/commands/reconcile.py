"""``bin/manage reconcile``: prove the books."""

import json
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from ledger.reconcile import reconcile


class Command(BaseCommand):
    help = (
        "Proves the books. Prints each violation and exits 1, or prints what was counted and"
        " exits 0."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead")

    def handle(self, *_: Any, **options: Any) -> None:
        run = reconcile()
        if options["json"]:
            said = {"seconds": str(run.seconds), "counts": run.counts, "violations": run.violations}
            self.stdout.write(json.dumps(said))
        elif run.violations:
            self.stdout.write("\n".join(run.violations))
        else:
            counted = ", ".join(f"{number} {name}" for name, number in run.counts.items())
            self.stdout.write(f"The books hold: {counted}, in {run.seconds} s.")
        if run.violations:
            sys.exit(1)
