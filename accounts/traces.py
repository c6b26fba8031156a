"""What accounts and sign-in keep of a user, removed when they leave."""

import re
import secrets
from collections.abc import Iterable

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model, Q, QuerySet
from django.utils import timezone

from accounts import access
from accounts.models import ApiKey, Backup, User

NOWHERE = "deleted.invalid"  # a domain that can't be (RFC 2606)
GONE = "deleted"


def remove(user: User) -> None:
    """All of it, in the caller's transaction. The user's own row is left to the caller."""
    _admin_log(user)  # looks for names that are gone afterwards
    access.end_sign_ins(user.pk)
    _keys(user)
    for model in (EmailAddress, SocialAccount, Authenticator, Backup):
        model.objects.filter(user=user).delete()


def _keys(user: User) -> None:
    """Keys stay as rows, since calls and months point at them, and can't be told or used any more.

    None is deleted: to look for calls that point at it would read all calls there are.
    """
    for key in ApiKey.objects.filter(user=user):
        key.name, key.prefix, key.digest = GONE, "", secrets.token_bytes(32)
        key.revoked_at = key.revoked_at or timezone.now()
        key.expires_at = key.last_used_at = None
        key.save()


def _admin_log(user: User) -> None:
    """What staff did stays in the admin's history; whom it was done to is nobody any more.

    Addresses and keys go wherever they are mentioned, names from what was done to this user.
    """
    keys = list(ApiKey.objects.filter(user=user))
    words = {user.email, *_addresses(user), *(str(key) for key in keys)}
    own = _about(User, [user.pk]) | _about(ApiKey, [key.pk for key in keys])
    _replace(LogEntry.objects.filter(own), words | {user.first_name, user.last_name} - {""})
    mentions = Q()
    for word in words:
        mentions |= Q(object_repr__icontains=word) | Q(change_message__icontains=word)
    _replace(LogEntry.objects.filter(mentions), words)


def _replace(entries: QuerySet[LogEntry], words: set[str]) -> None:
    """Whole words only: somebody's address may be the end or the beginning of another's."""
    longest_first = sorted(map(re.escape, words), key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w.+-])(?:{'|'.join(longest_first)})(?![\w-]|\.\w)", re.IGNORECASE)
    for entry in entries:
        entry.change_message = pattern.sub(GONE, entry.change_message)
        entry.object_repr = pattern.sub(GONE, entry.object_repr)
        entry.save(update_fields=["change_message", "object_repr"])


def _addresses(user: User) -> list[str]:
    return list(EmailAddress.objects.filter(user=user).values_list("email", flat=True))


def _about(model: type[Model], ids: Iterable[object]) -> Q:
    kind = ContentType.objects.get_for_model(model)
    return Q(content_type=kind, object_id__in=[str(one) for one in ids])
