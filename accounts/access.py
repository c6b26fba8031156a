"""Having access, and losing it: what ends a sign-in, and who is told.

Whether a credential still counts is asked of the database at every call, so the next one after a
loss is refused whatever else happens. Only what stays open (a socket) has to be told:
``access_lost`` is sent after commit when somebody *may* have lost access in some way, and whoever
keeps something open for that user asks ``still_valid`` again. It is sent rather once too often.

What no signal of Django's can see is not announced: an expiry, and rows changed by hand or in bulk
(``QuerySet.update``). Whoever keeps something open therefore also asks from time to time.
"""

from dataclasses import dataclass
from typing import Any, Literal

from allauth.idp.oidc.models import Token
from allauth.usersessions.models import UserSession
from django.contrib.auth import SESSION_KEY, hashers, update_session_auth_hash
from django.contrib.sessions.exceptions import SessionInterrupted
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save, pre_save
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import ApiKey, User

Kind = Literal["key", "token", "session"]

# Sent after commit with ``user``, the id of somebody who may have lost access.
access_lost = Signal()


@dataclass(frozen=True)
class Credential:
    """What somebody proved themselves with, as the database keeps it; never the secret itself.

    ``value`` is an API key's SHA-256 or an access token's hash, both in hexadecimal, or a
    session's key. A session's key opens the session: keep it out of logs and off other machines.
    """

    kind: Kind
    value: str
    user: int

    def __repr__(self) -> str:
        return f"Credential({self.kind}, user={self.user})"


def still_valid(credential: Credential) -> bool:
    """Whether it still gives its user access. One query.

    An access token counts here for as long as its sign-in does, since what is open outlives the
    quarter of an hour of one token: while any token of its family is valid.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT accounts_has_access(%s, %s, %s)",
            [credential.kind, credential.value, credential.user],
        )
        return bool(cursor.fetchone()[0])


def end_sign_ins(user: int) -> None:
    """End every sign-in of a user: sessions, extensions, all of them. API keys stay."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT accounts_end_sign_ins(%s)", [user])
        announce(user)


def keep_sign_in(request: HttpRequest, user: User, password: str) -> None:
    """Keep the sign-in of ``request`` when confirming ``password`` has given it a stronger hash.

    Django makes one when its hashers have changed, and to the database a new hash is a changed
    password, which has just ended this sign-in with all others.
    """
    now = User.objects.get(pk=user.pk)
    if now.password != user.password and hashers.check_password(password, now.password):
        user.password = now.password
        update_session_auth_hash(request, user)
        UserSession.objects.create_from_request(request)


def announce(user: int) -> None:
    """Send ``access_lost`` once the transaction is committed."""
    transaction.on_commit(lambda: access_lost.send_robust(sender=User, user=user))


def watch() -> None:
    """Connect to the signals of all whose end may be a loss of access; when apps are ready."""
    post_save.connect(_user_saved, sender=User, dispatch_uid="access:user")
    post_save.connect(_key_saved, sender=ApiKey, dispatch_uid="access:key")
    post_delete.connect(_owned_deleted, sender=ApiKey, dispatch_uid="access:key-gone")
    post_delete.connect(_token_deleted, sender=Token, dispatch_uid="access:token")
    post_delete.connect(_owned_deleted, sender=UserSession, dispatch_uid="access:user-session")
    pre_save.connect(_session_listed, sender=UserSession, dispatch_uid="access:listed")
    post_delete.connect(_session_deleted, sender=Session, dispatch_uid="access:session")


def _user_saved(instance: User, created: bool, update_fields: Any, **_: Any) -> None:
    """A password or the right to sign in may have changed; the database has ended the sign-ins."""
    if not created and (update_fields is None or {"password", "is_active"} & set(update_fields)):
        announce(instance.pk)


def _key_saved(instance: ApiKey, created: bool, **_: Any) -> None:
    if not created and not instance.is_active:
        announce(instance.user_id)


def _owned_deleted(instance: ApiKey | UserSession, **_: Any) -> None:
    announce(instance.user_id)


def _token_deleted(instance: Token, **_: Any) -> None:
    """Refresh tokens come and go by renewal, which is no loss; nor is what was over before."""
    if instance.user_id is None or instance.type != Token.Type.ACCESS_TOKEN:
        return
    if instance.expires_at is None or instance.expires_at > timezone.now():
        announce(instance.user_id)


def _session_listed(instance: UserSession, **_: Any) -> None:
    """A sign-in counts from here on: not if the password it was made with was changed meanwhile.

    The user's row is locked, as a changed password does, so one of the two sees the other.
    """
    if not instance._state.adding:
        return
    with transaction.atomic():
        users = User.objects.select_for_update(no_key=True).filter(is_active=True)
        now = users.filter(pk=instance.user_id).values_list("password", flat=True).first()
    if now != instance.user.password:
        raise SessionInterrupted("This sign-in was overtaken by a change of the account.")


def _session_deleted(instance: Session, **_: Any) -> None:
    """A log-out, or a session's new key: the list of sessions forgets the old one."""
    if user := instance.get_decoded().get(SESSION_KEY):
        UserSession.objects.filter(session_key=instance.session_key).delete()
        announce(int(user))
