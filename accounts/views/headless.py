"""The description of the headless sign-in, as OpenAPI."""

import json
from functools import cache
from typing import Any

from allauth.headless.spec.internal.schema import get_schema
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe


@require_safe
def description(request: HttpRequest) -> HttpResponse:
    """``/_allauth/openapi.json``: allauth's own, of what is served here; made once a process, since
    that takes a second of work."""
    response = HttpResponse(_document(), content_type="application/vnd.oai.openapi+json")
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "public, max-age=3600"
    return response


@cache
def _document() -> bytes:
    spec: dict[str, Any] = get_schema()
    # Farebox keeps no telephone numbers.
    spec["paths"] = {path: it for path, it in spec["paths"].items() if "phone" not in path}
    return json.dumps(spec).encode()
