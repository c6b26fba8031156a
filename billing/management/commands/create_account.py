"""``create_account``: a user with an API key, a plan and a balance, in one go."""

import json
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.validators import validate_email
from django.db import IntegrityError, transaction

from accounts import verbs as accounts
from billing import entitlements
from billing.models import Plan
from common.money import parse_credits
from ledger import verbs as ledger
from ledger.models import Grant


class Command(BaseCommand):
    help = (
        "Make a user and print one JSON line with email and api_key. "
        "Anything wrong is said in one line, exits 1, and makes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--email", required=True, metavar="E")
        parser.add_argument("--plan", metavar="SLUG", help="the default plan if not given")
        parser.add_argument(
            "--credits",
            metavar="N",
            default="0",
            help="opening balance, such as 0.5; 0 if not given",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        email = options["email"].strip().lower()
        try:
            validate_email(email)
        except ValidationError:
            raise CommandError(f"--email: {email!r} is not an e-mail address") from None
        try:
            opening = parse_credits(options["credits"])
        except ValueError as error:
            raise CommandError(f"--credits: {error}") from None
        secret = make_account(email, find_plan(options["plan"]), opening)
        self.stdout.write(json.dumps({"email": email, "api_key": secret}))


def find_plan(slug: str | None) -> Plan:
    """The plan named ``slug``, the default one for ``None``. Raises ``CommandError``."""
    wanted = {"is_default": True} if slug is None else {"slug": slug}
    plan = Plan.objects.filter(**wanted).first()
    if plan is None:
        known = ", ".join(Plan.objects.values_list("slug", flat=True))
        raise CommandError(f"--plan: there is no plan {slug!r}; there are {known}")
    return plan


def make_account(email: str, plan: Plan, opening: int) -> str:
    """All of it or nothing; answers the API key's secret. ``opening`` in microcredits."""
    with transaction.atomic():
        try:
            user = accounts.create_user(email=email)
        except IntegrityError:
            raise CommandError(f"--email: {email} has an account already") from None
        issued = accounts.issue_key(user=user, name="created with the account")
        if not plan.is_default:
            entitlements.assign_plan(user=user, plan=plan)
        wallet = ledger.wallet_of(user=user.pk)
        if opening:
            ledger.grant(
                account=wallet,
                amount=opening,
                kind=Grant.Kind.PROMOTION,
                key=f"account:{user.pk}:opening",
                metadata={"reason": "opening balance", "actor": "create_account"},
            )
    return issued.secret
