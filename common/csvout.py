"""Tables as CSV, safe to open in a spreadsheet."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

from rest_framework.renderers import BaseRenderer

_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def cell(value: object) -> str:
    """A value as text that no spreadsheet takes for a formula (OWASP, "CSV Injection")."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


class CsvRenderer(BaseRenderer):
    """The ``results`` of an answer as RFC 4180 lines, a header first.

    The view names the columns in ``csv_fields``, so that an empty table still has its header.
    """

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(
        self,
        data: Mapping[str, Any],
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        fields = list((renderer_context or {})["view"].csv_fields)
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(fields)
        for row in data["results"]:
            writer.writerow([cell(row[field]) for field in fields])
        return out.getvalue().encode()
