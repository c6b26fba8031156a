"""How the HTTP API under ``/api/`` answers: one shape of errors, JSON unless CSV is asked for.

Every exception a view can raise becomes one of ``common.errors`` and then the contract's body
``{"error": {"message", "type", "param", "code"}}``. What nobody foresaw is logged whole and
answered as a 500 that tells nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

from django.core import exceptions as django_errors
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, JsonResponse
from rest_framework import exceptions as drf_errors
from rest_framework import negotiation, parsers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from common import errors

logger = logging.getLogger(__name__)

CHALLENGE = 'Bearer realm="Farebox"'
BUSY = "The service can't reach its database; try again shortly."


class MediaTypeRefused(errors.FareboxError):
    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> JsonResponse:
    """DRF's ``EXCEPTION_HANDLER``: always an answer in the contract's shape."""
    error = translate(exc)
    if error is None:
        request = context.get("request")
        raw: HttpRequest | None = getattr(request, "_request", None)
        logger.error("unhandled error", exc_info=exc, extra={"request": raw})
        got_request_exception.send(sender=exception_handler, request=raw)
        error = errors.FareboxError("Something went wrong here. It has been noted.")
    response = answer(error)
    if isinstance(exc, drf_errors.MethodNotAllowed) and "view" in context:
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    return response


def answer(error: errors.FareboxError) -> JsonResponse:
    """The contract's answer to an error, headers included."""
    response = JsonResponse(errors.openai_shape(error), status=error.status, headers=error.headers)
    if error.status == 401:
        response["WWW-Authenticate"] = CHALLENGE
    return response


def translate(exc: Exception) -> errors.FareboxError | None:
    """The error of the contract that ``exc`` means; ``None`` for what nobody foresaw."""
    match exc:
        case errors.FareboxError():
            return exc
        case OperationalError() | InterfaceError():
            return errors.Unavailable(BUSY, retry_after=5)
        case django_errors.RequestDataTooBig():
            return errors.TooLarge("The request is too large.")
        case Http404() | django_errors.ObjectDoesNotExist():
            return errors.NotFound("There is nothing here.")
        case django_errors.PermissionDenied():
            return errors.PermissionRefused(str(exc) or "You may not do this.")
        case django_errors.ValidationError():
            return _of_fields(
                exc.message_dict if hasattr(exc, "error_dict") else {"": list(exc.messages)}
            )
        case django_errors.SuspiciousOperation() | django_errors.BadRequest():
            return errors.BadInput("The request can't be read.")
        case drf_errors.APIException():
            return _of_drf(exc)
    return None


def _of_drf(exc: drf_errors.APIException) -> errors.FareboxError | None:
    text = exc.detail if isinstance(exc.detail, str) else "The request can't be served."
    match exc:
        case drf_errors.ValidationError():
            return _of_fields(exc.detail)
        case drf_errors.NotAuthenticated():
            return errors.NotAuthenticated(
                "Who is calling? Send an API key as 'Authorization: Bearer fb_…' or 'x-api-key', "
                "or sign in."
            )
        case drf_errors.AuthenticationFailed():
            return errors.NotAuthenticated(text)
        case drf_errors.PermissionDenied():
            return errors.PermissionRefused(text)
        case drf_errors.NotFound():
            return errors.NotFound(text)
        case drf_errors.MethodNotAllowed():
            return errors.MethodRefused(text)
        case drf_errors.UnsupportedMediaType():
            return MediaTypeRefused("Send JSON, with 'Content-Type: application/json'.")
        case drf_errors.Throttled():
            return errors.RateLimited(
                "Too many requests; slow down.", retry_after=ceil(getattr(exc, "wait", None) or 1)
            )
    return errors.BadInput(text) if 400 <= exc.status_code < 500 else None


def _of_fields(detail: Any) -> errors.BadInput:
    """The first thing wrong, with the dotted path of its field as ``param``."""
    path, message = _first(detail)
    param = ".".join(path) or None
    return errors.BadInput(f"{param}: {message}" if param else message, param=param)


def _first(detail: Any) -> tuple[list[str], str]:
    if isinstance(detail, Mapping) and detail:
        name, inner = next(iter(detail.items()))
        path, message = _first(inner)
        own = [] if name in {"non_field_errors", "__all__", ""} else [str(name)]
        return own + path, message
    if isinstance(detail, Sequence) and not isinstance(detail, str) and detail:
        place, inner = next((n, item) for n, item in enumerate(detail) if item)
        path, message = _first(inner)
        return ([str(place), *path] if isinstance(inner, Mapping) else path), message
    return [], str(detail) or "is not right."


class JSONParser(parsers.JSONParser):
    """JSON that may nest as deep as Python can follow; deeper is bad input, not a crash."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except RecursionError:
            raise errors.BadInput("The JSON is nested too deep.") from None


class Negotiation(negotiation.DefaultContentNegotiation):
    """``?format=`` chooses, and is refused when unknown; ``Accept`` is a wish, JSON the rule."""

    def select_renderer(  # type: ignore[override]
        self,
        request: Request,
        renderers: Sequence[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        wanted = request.query_params.get("format")
        if wanted:
            for renderer in renderers:
                if renderer.format == wanted:
                    return renderer, renderer.media_type or ""
            known = " or ".join(str(renderer.format) for renderer in renderers)
            raise errors.BadInput(f"format: must be {known}.", param="format")
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except drf_errors.NotAcceptable:
            return renderers[0], renderers[0].media_type or ""
