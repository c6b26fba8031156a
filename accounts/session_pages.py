"""The page of everything that is signed in to an account, with a button to end each."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from allauth.idp.oidc.models import Client, Token
from allauth.usersessions.internal.flows.sessions import end_other_sessions, end_sessions
from allauth.usersessions.models import UserSession
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Max, OuterRef, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import families
from accounts.models import FamilyToken, TokenFamily, User


@dataclass(frozen=True)
class ExtensionSignIn:
    """An extension's sign-in that still stands: until ``ends``, unless it is renewed before."""

    pk: uuid.UUID
    name: str
    created_at: datetime
    ends: datetime | None


@require_safe
@never_cache
@login_required
def sessions(request: HttpRequest) -> HttpResponse:
    """Sessions, the present one first, and extensions."""
    user = _user(request)
    listed = UserSession.objects.purge_and_list(user)
    listed.sort(key=lambda session: (not session.is_current(), -session.last_seen_at.timestamp()))
    context = {"sessions": listed, "families": list(extension_sign_ins(user))}
    return render(request, "accounts/sessions.html", context)


@require_POST
@login_required
def end_session(request: HttpRequest, session_id: int) -> HttpResponse:
    """Sign one session out. The present one has a sign-out of its own."""
    session = UserSession.objects.filter(user_id=_user(request).pk, pk=session_id).first()
    if session is None or session.is_current():
        raise Http404
    end_sessions(request, [session])
    return _back(request, "It is signed out.")


@require_POST
@login_required
def end_others(request: HttpRequest) -> HttpResponse:
    """Sign every session out but the present one."""
    end_other_sessions(request, _user(request))
    return _back(request, "All other browsers and programs are signed out.")


@require_POST
@login_required
def end_extension(request: HttpRequest, family_id: uuid.UUID) -> HttpResponse:
    """Sign an extension out; its next call is refused."""
    if not TokenFamily.objects.filter(user_id=_user(request).pk, pk=family_id).exists():
        raise Http404
    families.end(family_id)
    return _back(request, "The extension is signed out.")


def extension_sign_ins(user: User) -> Iterator[ExtensionSignIn]:
    """Those of a user that a live token is left of, newest first."""
    own = FamilyToken.objects.filter(family=OuterRef(OuterRef("pk"))).values("hash")
    now = timezone.now()
    live = Token.objects.filter(hash__in=own, expires_at__gt=now).values("user_id").order_by()
    found = (
        TokenFamily.objects.filter(user=user)
        .annotate(ends=Subquery(live.annotate(last=Max("expires_at")).values("last")))
        .filter(ends__isnull=False)
        .order_by("-created_at")
    )
    clients = Client.objects.filter(id__in=[one.client for one in found])
    names = dict(clients.values_list("id", "name"))
    for one in found:
        name = names.get(one.client, "An extension")
        yield ExtensionSignIn(one.pk, name[:1].upper() + name[1:], one.created_at, one.ends)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the page lets nobody else in"
    return request.user


def _back(request: HttpRequest, words: str) -> HttpResponseRedirect:
    messages.success(request, words)
    return HttpResponseRedirect(reverse("dashboard-sessions"))
