"""The extensions of ``EXTENSION_IDS`` as OIDC clients: each a public client with its own redirect
and its own origin, and nothing wider."""

import logging

from allauth.idp.oidc.models import Client
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError

logger = logging.getLogger(__name__)

MARK = {"farebox": "extension"}  # clients made here, as opposed to those the operator made


def origin_of(extension: str) -> str:
    return f"chrome-extension://{extension}"


def redirects_of(extension: str) -> list[str]:
    """What ``chrome.identity.getRedirectURL("cb")`` answers, and the same without a path."""
    return [f"https://{extension}.chromiumapp.org/cb", f"https://{extension}.chromiumapp.org/"]


def sync() -> None:
    """Make the clients what the setting says. One that is no longer listed goes, and with it
    every token it was given. Safe to run again, and at the same time."""
    for extension in settings.EXTENSION_IDS:
        Client.objects.update_or_create(
            id=extension,
            defaults={
                "name": "the extension",
                "secret": "!",  # no secret opens it: a public client has none
                "type": Client.Type.PUBLIC,
                "scopes": "openid\nemail\nprofile",
                "default_scopes": "openid\nemail",
                "grant_types": "authorization_code\nrefresh_token",
                "response_types": "code",
                "redirect_uris": "\n".join(redirects_of(extension)),
                "cors_origins": origin_of(extension),
                "skip_consent": True,
                "data": MARK,
            },
        )
    ours = Client.objects.filter(data=MARK)
    for client in ours.exclude(id__in=settings.EXTENSION_IDS):
        client.delete()


async def sync_at_start() -> None:
    """``sync`` when a web process starts, since the setting may have changed without a migration.
    A database that is away is no error: the clients stay what they were."""
    try:
        await sync_to_async(sync)()
    except DatabaseError as error:
        logger.warning("extensions not brought up to date: %s", type(error).__name__)
