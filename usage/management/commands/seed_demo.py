"""``seed_demo``: somebody to try Farebox as, the first time it is started."""

import json
import os
import secrets
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import keys
from accounts import verbs as accounts
from accounts.models import ApiKey, User
from common.money import MICRO
from ledger import verbs as ledger
from ledger.models import Grant
from usage.models import AIModel
from usage.providers import configured_providers

EMAIL = "demo@farebox.test"
OPENING = 5 * MICRO
KEY_NAME = "demo"
# What a newcomer's first call goes to, the first of these that there is; else the first by name.
FIRST_CHOICES = ("demo", "gpt-5-mini", "gpt-4o-mini", "gpt-4.1-mini", "claude-haiku-4-5")


class Command(BaseCommand):
    help = (
        "Bring models up to date and make the demo user with an API key and 5 credits; "
        "safe to run again. Prints one JSON line with email, password, api_key and model."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.ENABLE_PAYMENTS and not settings.DEBUG and not settings.ALLOW_DEMO:
            raise CommandError(
                "a deployment that takes payments gets no demo user; ALLOW_DEMO=true to have one"
            )
        call_command("sync_models", verbosity=0, stdout=self.stderr)
        home = Path(settings.FAREBOX_HOME)
        kept = _read(home / "demo.json")
        with transaction.atomic():
            user = _demo_user()
            password = _password(user, kept.get("password"))
            secret = _secret(user, kept.get("api_key"))
            ledger.grant(
                account=ledger.wallet_of(user=user.pk),
                amount=OPENING,
                kind=Grant.Kind.PROMOTION,
                key=f"account:{user.pk}:opening",
                metadata={"reason": "opening balance", "actor": "seed_demo"},
            )
            # Written before the commit: a secret that is in the database alone would be lost.
            _write(home / "demo.json", {"email": EMAIL, "password": password, "api_key": secret})
        answer = {"email": EMAIL, "password": password, "api_key": secret, "model": first_model()}
        self.stdout.write(json.dumps(answer))


def first_model() -> str:
    """The model a newcomer should call."""
    names = list(
        AIModel.objects.filter(enabled=True, provider__in=configured_providers())
        .order_by("name")
        .values_list("name", flat=True)
    )
    return next((name for name in FIRST_CHOICES if name in names), names[0] if names else "")


def _demo_user() -> User:
    user = User.objects.filter(email=EMAIL).first() or accounts.create_user(email=EMAIL)
    accounts.vouch_for(user=user)  # one from before addresses were verified has no word yet
    # The admin is shown to a newcomer on their own machine, and to nobody anywhere else.
    if (user.is_staff, user.is_superuser) != (settings.DEBUG, settings.DEBUG):
        user.is_staff = user.is_superuser = settings.DEBUG
        user.save(update_fields=["is_staff", "is_superuser"])
    return user


def _password(user: User, kept: object) -> str:
    if isinstance(kept, str) and user.check_password(kept):
        return kept
    password = secrets.token_urlsafe(12)
    user.set_password(password)
    user.save(update_fields=["password"])
    return password


def _secret(user: User, kept: object) -> str:
    """The key that was kept, if it still opens; else a new one, and the lost one is revoked."""
    if isinstance(kept, str) and keys.is_well_formed(kept):
        known = ApiKey.objects.filter(user=user, digest=keys.digest(kept)).first()
        if known and known.is_active:
            return kept
    for lost in ApiKey.objects.filter(user=user, name=KEY_NAME, revoked_at=None):
        accounts.revoke_key(key=lost)
    return accounts.issue_key(user=user, name=KEY_NAME).secret


def _read(path: Path) -> dict[str, Any]:
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(path: Path, content: dict[str, str]) -> None:
    """Write for the owner's eyes only, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file)
    new.replace(path)
