"""Somebody with a bit of everything behind them, and a search for their traces everywhere."""

import json
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts import verbs as accounts
from accounts.backups import Precondition, put
from accounts.models import User
from accounts.verbs import IssuedKey
from billing.entitlements import assign_plan
from billing.models import Plan
from ledger import verbs
from tests.accounts import people
from tests.admin_pages import token_on
from tests.usage import calls

EMAIL = "ada.lovelace@example.com"
SECOND = "countess@example.org"
NAMES = ("Augusta", "Lovelace-King")
IP = "203.0.113.77"
AGENT = "AnalyticalEngine/1.0"
KEY_NAME = "difference engine"
UID = "gh-uid-18151210"
BLOB = b"the encrypted settings of a countess"


@dataclass
class Person:
    user: User
    browser: Client
    key: IssuedKey
    wallet: int
    tokens: dict[str, Any]
    session_token: str
    open_call: Any = None
    traces: list[str] = field(default_factory=list)


def with_everything(admin: Client) -> Person:
    """Made by the ways a user and staff have, so that whatever those leave behind is there."""
    user = accounts.create_user(email=EMAIL, password=people.PASSWORD)
    User.objects.filter(pk=user.pk).update(first_name=NAMES[0], last_name=NAMES[1])
    user.refresh_from_db()
    EmailAddress.objects.create(user=user, email=SECOND, verified=True)
    SocialAccount.objects.create(
        user=user, provider="github", uid=UID, extra_data={"login": "ada", "name": NAMES[1]}
    )
    browser = Client(REMOTE_ADDR=IP, headers={"user-agent": AGENT})
    signed_in = browser.post("/accounts/login/", {"login": EMAIL, "password": people.PASSWORD})
    assert signed_in.status_code == 302, signed_in.content
    tokens = people.extension_tokens(browser)
    session_token = people.session_token(EMAIL)
    key = accounts.issue_key(user=user, name=KEY_NAME, monthly_cap=900_000)
    wallet = verbs.wallet_of(user=user.pk)
    assign_plan(user=user, plan=Plan.objects.get(slug="pro"))
    put(user=user, blob=BLOB, condition=Precondition())
    _money(user, wallet, admin)
    _staff_looks(user, key, admin)
    TOTP.activate(user, generate_totp_secret())  # last: it would be asked for at each sign-in
    RecoveryCodes.activate(user)
    assert Authenticator.objects.filter(user=user).count() == 2
    person = Person(user, browser, key, wallet, tokens, session_token)
    person.traces = [EMAIL, SECOND, *NAMES, IP, AGENT, KEY_NAME, key.key.prefix, UID]
    return person


def _money(user: User, wallet: int, admin: Client) -> None:
    """Bought, given by staff, spent, refunded by staff, expired."""
    verbs.grant(account=wallet, amount=1_000_000, kind="purchase", key="bought")
    soon = timezone.now() + timedelta(days=20)
    verbs.grant(account=wallet, amount=70_000, kind="allowance", key="plan", expires_at=soon)
    _by_staff(
        admin,
        f"/admin/accounts/user/{user.pk}/grant/",
        {"amount": "0.3", "kind": "promotion", "reason": "goodwill"},
    )
    call = calls.finish(calls.begin(user, held=40_000), charge=30_000)
    calls.finish(calls.begin(user), status="failed", charge=0)
    _by_staff(
        admin, f"/admin/usage/call/{call}/refund/", {"amount": "0.01", "reason": "it was slow"}
    )


def _staff_looks(user: User, key: IssuedKey, admin: Client) -> None:
    """What staff do to a user stands in the admin's history, with names and reasons."""
    pro = Plan.objects.get(slug="pro").pk
    _by_staff(
        admin,
        f"/admin/accounts/user/{user.pk}/plan/",
        {"plan": pro, "status": "active", "reason": f"{EMAIL} asked for it"},
    )
    other = accounts.issue_key(user=user, name=f"{KEY_NAME} two")
    _by_staff(admin, f"/admin/accounts/apikey/{other.key.pk}/revoke/", {"reason": "leaked"})


def _by_staff(admin: Client, path: str, sent: dict[str, Any]) -> None:
    done = admin.post(path, sent | {"token": token_on(admin, path), "confirmed": "yes"})
    assert done.status_code == 302, (path, done.content)


def found_anywhere(word: str) -> list[str]:
    """Where a word stands in the database: every column of every table, as text, with bytes and
    sessions read too."""
    texts: dict[str, dict[str, str]] = {}  # of each table: how each column is read
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'public'"
        )
        for table, column, kind in cursor.fetchall():
            as_text = f"encode(\"{column}\", 'escape')" if kind == "bytea" else f'"{column}"::text'
            texts.setdefault(table, {})[column] = f"position(lower(%(w)s) in lower({as_text})) > 0"
        anywhere = {table: " OR ".join(conditions.values()) for table, conditions in texts.items()}
        holding = " UNION ALL ".join(
            f"SELECT '{table}' WHERE EXISTS (SELECT FROM \"{table}\" WHERE {condition})"
            for table, condition in anywhere.items()
        )
        cursor.execute(holding, {"w": word})
        found = []
        for table in [row[0] for row in cursor.fetchall()]:
            for column, condition in texts[table].items():
                cursor.execute(
                    f'SELECT EXISTS (SELECT FROM "{table}" WHERE {condition})', {"w": word}
                )
                if cursor.fetchone()[0]:
                    found.append(f"{table}.{column}")
    for session in Session.objects.all():
        if word.lower() in json.dumps(session.get_decoded()).lower():
            found.append(f"session {session.pk}")
    return found
