"""What accounts and sign-in know of a user, for the export. Imported when the app is ready."""

import base64
from typing import Any

from allauth.account.models import EmailAddress
from allauth.idp.oidc.models import Client, Token
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry

from accounts.leaving import exports, leaves_out
from accounts.models import ApiKey, Backup, TokenFamily, User
from common.money import format_credits

leaves_out(LogEntry, "is what staff did with the operator's data, in the operator's history")
leaves_out(Client, "is a program that the operator registered")
leaves_out(
    User.groups.through, "is a role of staff, whose accounts are not closed before it is taken"
)
leaves_out(
    User.user_permissions.through,
    "is a right of staff, whose accounts are not closed before it is taken",
)


@exports("account", User)
def account(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "has_password": user.has_usable_password(),
        "is_staff": user.is_staff,
        "joined": user.date_joined,
        "last_sign_in": user.last_login,
    }


@exports("email_addresses", EmailAddress)
def email_addresses(user: User) -> list[dict[str, Any]]:
    rows = EmailAddress.objects.filter(user=user).order_by("id")
    return list(rows.values("email", "verified", "primary"))


@exports("linked_accounts", SocialAccount)
def linked_accounts(user: User) -> list[dict[str, Any]]:
    """Google and GitHub, with all that they told."""
    rows = SocialAccount.objects.filter(user=user).order_by("id")
    return list(rows.values("provider", "uid", "date_joined", "last_login", "extra_data"))


@exports("second_factors", Authenticator)
def second_factors(user: User) -> list[dict[str, Any]]:
    """Which there are; their secrets open the account and stay here."""
    return [
        {
            "type": factor.type,
            "name": factor.data.get("name"),
            "created_at": factor.created_at,
            "last_used_at": factor.last_used_at,
        }
        for factor in Authenticator.objects.filter(user=user).order_by("id")
    ]


@exports("sessions", UserSession)
def sessions(user: User) -> list[dict[str, Any]]:
    rows = UserSession.objects.filter(user=user).order_by("id")
    return list(rows.values("ip", "user_agent", "created_at", "last_seen_at"))


@exports("extensions", TokenFamily, Token)
def extensions(user: User) -> dict[str, Any]:
    """Sign-ins of extensions, and what each token of theirs was allowed (the consents)."""
    families = TokenFamily.objects.filter(user=user).order_by("created_at")
    tokens = Token.objects.filter(user=user).order_by("created_at")
    return {
        "sign_ins": list(families.values("client", "created_at")),
        "tokens": [
            {
                "client": token.client_id,
                "type": token.get_type_display(),
                "scopes": token.get_scopes(),
                "created_at": token.created_at,
                "expires_at": token.expires_at,
            }
            for token in tokens
        ],
    }


@exports("api_keys", ApiKey)
def api_keys(user: User) -> list[dict[str, Any]]:
    """Revoked ones too; of the keys themselves only the beginning is known."""
    return [
        {
            "id": key.pk,
            "name": key.name,
            "prefix": key.prefix,
            "scopes": key.scopes,
            "monthly_cap": None if key.monthly_cap is None else format_credits(key.monthly_cap),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "last_used_at": key.last_used_at,
            "revoked_at": key.revoked_at,
        }
        for key in ApiKey.objects.filter(user=user).order_by("created_at")
    ]


@exports("backup", Backup)
def backup(user: User) -> dict[str, Any] | None:
    """The blob as it is, in base64: only the client that encrypted it can read it."""
    found = Backup.objects.filter(user=user).first()
    if found is None:
        return None
    blob = base64.b64encode(bytes(found.blob)).decode()
    return {"updated_at": found.updated_at, "base64": blob}
