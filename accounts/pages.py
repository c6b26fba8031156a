"""The account's pages under ``/dashboard/``: API keys, and one's own data."""

import uuid

from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import crypto, leaving, notices, staff, verbs
from accounts.forms import LeavingForm, NewKeyForm
from accounts.models import ApiKey, User
from accounts.recent import confirmed
from accounts.views.leaving import Download
from accounts.views.leaving import export as export_of
from common.errors import FareboxError

NEW_KEY = "accounts.new_key"  # in the session, from the making of a key to its one showing


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User), "the page lets nobody else in"
    return request.user


@require_safe
@never_cache
@login_required
def keys(request: HttpRequest) -> HttpResponse:
    """The keys there are; and of one that was just made its secret, this once."""
    user = _user(request)
    context = {
        "keys": verbs.keys_of(user),
        "most": verbs.KEYS_A_USER,
        "new": _take_new_key(request, user),
    }
    return render(request, "accounts/keys.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def new_key(request: HttpRequest) -> HttpResponse:
    """Make a key. Its secret waits in the session, encrypted, for the page that shows it."""
    user = _user(request)
    form = NewKeyForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST" and form.is_valid():
        options = form.options()
        try:
            staff.require_factor(user, options["scopes"])
            issued = verbs.issue_key(user=user, **options)
        except FareboxError as error:
            form.add_error(error.param if error.param in form.fields else None, error.message)
        else:
            notices.key_made(issued.key)
            request.session[NEW_KEY] = [str(issued.key.pk), crypto.encrypt(issued.secret)]
            return HttpResponseRedirect(reverse("dashboard-keys"))
    return render(request, "accounts/new_key.html", {"form": form})


def _take_new_key(request: HttpRequest, user: User) -> dict[str, object] | None:
    """What ``new_key`` left; it is gone from the session with this look."""
    if request.method != "GET" or NEW_KEY not in request.session:
        return None
    key_id, encrypted = request.session.pop(NEW_KEY)
    key = verbs.keys_of(user).filter(pk=key_id).first()
    try:
        return {"key": key, "secret": crypto.decrypt(encrypted)} if key else None
    except crypto.Unreadable:  # SECRET_KEY was changed in this very moment
        return None


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def revoke_key(request: HttpRequest, key_id: uuid.UUID) -> HttpResponse:
    """End a key, after asking."""
    key: ApiKey | None = verbs.keys_of(_user(request)).filter(pk=key_id).first()
    if key is None:
        raise Http404
    if request.method != "POST":
        return render(request, "accounts/revoke_key.html", {"key": key})
    verbs.revoke_key(key=key)
    messages.success(request, f"The key “{key.name}” is revoked.")
    return HttpResponseRedirect(reverse("dashboard-keys"))


@require_safe
@never_cache
@login_required
def data(request: HttpRequest) -> HttpResponse:
    """What one can do with one's data: take it along, or have it deleted."""
    return render(request, "accounts/data.html", {"staff": _is_staff(_user(request))})


@require_safe
@confirmed
def export(request: HttpRequest) -> Download:
    return export_of(_user(request))


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def delete_account(request: HttpRequest) -> HttpResponse:
    """Delete the account, once its address was typed."""
    user = _user(request)
    form = LeavingForm(request.POST if request.method == "POST" else None, user=user)
    if request.method == "POST" and form.is_valid():
        try:
            leaving.delete_account(user=user)
        except FareboxError as error:
            form.add_error(None, error.message)
        else:
            logout(request)
            return render(request, "accounts/goodbye.html")
    context = {"form": form, "staff": _is_staff(user)}
    return render(request, "accounts/delete_account.html", context)


def _is_staff(user: User) -> bool:
    return user.is_staff or user.is_superuser
