"""Many completions in one job. Each is held for and billed by itself; what fails costs nothing."""

from collections.abc import Sequence
from typing import Any

import orjson
from django.conf import settings

from common.errors import BadInput, FareboxError
from jobs.kinds.base import Part, kind, place_in
from jobs.kinds.completion import Completion, part_of
from usage.catalog import Catalog


@kind("batch", limit="JOB_BATCH_SECONDS")
class Batch(Completion):
    """``input`` is ``{"requests": [body, …]}``, each as a completion's. The job is done when any of
    them is; the result says of each how it ended."""

    @property
    def at_once(self) -> int:  # type: ignore[override]
        return int(settings.JOB_BATCH_AT_ONCE)

    def parts(self, given: Any, catalog: Catalog) -> list[Part]:
        bodies = given.get("requests") if isinstance(given, dict) else None
        if not isinstance(bodies, list) or not bodies or given.keys() != {"requests"}:
            raise BadInput(
                'requests: must be {"requests": [body, …]}, with at least one.', param="requests"
            )
        if len(bodies) > settings.JOB_BATCH_MOST:
            raise BadInput(
                f"requests: at most {settings.JOB_BATCH_MOST} are taken.", param="requests"
            )
        parts = []
        for place, body in enumerate(bodies):
            try:
                parts.append(part_of(body, catalog))
            except FareboxError as error:
                place_in(f"requests[{place}]", error)
                raise
        return parts

    def given(self, texts: Sequence[str]) -> Any:
        return {"requests": [orjson.loads(text) for text in texts]}

    def result(self, answers: Sequence[dict[str, Any]]) -> Any:
        return {"items": list(answers)}
