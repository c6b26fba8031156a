"""What accounts and sign-in keep of a user, removed when they leave."""

import json
import re
import secrets
from collections.abc import Iterable

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone

from accounts import access
from accounts.models import ApiKey, Backup, User

NOWHERE = "deleted.invalid"  # a domain that can't be (RFC 2606)
GONE = "deleted"
MOST_PENDING = 10_000


def remove(user: User) -> None:
    """All of it, in the caller's transaction. The user's own row is left to the caller."""
    _admin_log(user)  # looks for names that are gone afterwards
    access.end_sign_ins(user.pk)
    _keys(user)
    for model in (EmailAddress, SocialAccount, Authenticator, Backup):
        model.objects.filter(user=user).delete()


def end_pending(addresses: Iterable[str]) -> None:
    """End sessions that wait for a code or a sign-up with one of these addresses.

    They are in no list and their rows can't be searched, so each is decoded: the newest
    ``MOST_PENDING``; those beyond go with ``tasks.tidy`` within a day.
    """
    sought = {address.lower() for address in addresses}
    listed = UserSession.objects.filter(session_key=OuterRef("session_key"))
    pending = Session.objects.filter(~Exists(listed)).order_by("-expire_date")[:MOST_PENDING]
    held = [session.session_key for session in pending if _mentions(session, sought)]
    Session.objects.filter(session_key__in=held).delete()


def _mentions(session: Session, words: set[str]) -> bool:
    text = json.dumps(session.get_decoded(), ensure_ascii=False).lower()
    return any(word in text for word in words)


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
    words = {user.email, *addresses_of(user), *(str(key) for key in keys)}
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


def addresses_of(user: User) -> list[str]:
    return list(EmailAddress.objects.filter(user=user).values_list("email", flat=True))


def _about(model: type[Model], ids: Iterable[object]) -> Q:
    kind = ContentType.objects.get_for_model(model)
    return Q(content_type=kind, object_id__in=[str(one) for one in ids])
