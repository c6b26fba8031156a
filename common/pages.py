"""Errors outside of any view: JSON under ``/api/``, a page elsewhere."""

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from common import errors
from common.drf import answer, translate


@csrf_exempt
def api_not_found(request: HttpRequest) -> HttpResponse:
    """Any path under ``/api/`` that there is not, whatever the method."""
    return answer(errors.NotFound("There is no such address; /api/docs lists those there are."))


@csrf_exempt
def no_such_address(request: HttpRequest) -> HttpResponse:
    """What a library would serve, and this deployment does not."""
    return HttpResponse(status=404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, errors.BadInput("The request can't be read."))


def refused(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, errors.PermissionRefused("You may not do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _respond(request, errors.NotFound("There is nothing at this address."))


def too_many(request: HttpRequest) -> HttpResponse:
    """What allauth's limits of sign-in answer."""
    return _respond(
        request,
        errors.RateLimited(
            "Too many tries. Wait a minute, go back, and try again.", retry_after=60
        ),
    )


def broken(request: HttpRequest) -> HttpResponse:
    """What nobody foresaw; and a database that is away, which the caller may try again."""
    known = translate(exc) if isinstance(exc := sys.exc_info()[1], Exception) else None
    if isinstance(known, errors.Unavailable):
        return _respond(request, known)
    return _respond(request, errors.FareboxError("Something went wrong here. It has been noted."))


def _respond(request: HttpRequest, error: errors.FareboxError) -> HttpResponse:
    if request.path_info.startswith("/api/"):
        return answer(error)
    # No request is given: no context processor may look at a session or a database that is away.
    page = render(None, "error.html", {"error": error}, status=error.status)
    for name, value in error.headers.items():
        page.headers[name] = value
    return page
