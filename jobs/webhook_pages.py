"""The account's pages of webhooks: the secret that they are signed with, shown to whoever has just
confirmed who they are, and another one in its place."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from accounts import crypto
from accounts.models import User
from accounts.recent import confirmed
from jobs.telling import signing


@require_safe
@never_cache
@login_required
def webhooks(request: HttpRequest) -> HttpResponse:
    """What webhooks are for, and how to verify one."""
    return render(request, "jobs/webhooks.html")


@require_safe
@confirmed
def secret(request: HttpRequest) -> HttpResponse:
    """The same page, with the secret."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    try:
        context = {"secret": signing.secret_of(request.user)}
    except crypto.Unreadable:  # SECRET_KEY was changed
        messages.error(request, "The secret can't be read any more. Make another.")
        return HttpResponseRedirect(reverse("dashboard-webhooks"))
    return render(request, "jobs/webhooks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@confirmed
def renew(request: HttpRequest) -> HttpResponse:
    """Make another secret, after asking."""
    assert isinstance(request.user, User), "the page lets nobody else in"
    if request.method != "POST":
        return render(request, "jobs/renew_secret.html")
    signing.renew(request.user)
    messages.success(request, "There is another secret now; the one before signs nothing more.")
    return HttpResponseRedirect(reverse("dashboard-webhook-secret"))
