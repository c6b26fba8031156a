"""Nothing, at no cost."""

from typing import Any

from common.errors import BadInput
from jobs.kinds.base import Kind, Part, kind
from usage.catalog import Catalog


@kind("noop", limit="JOB_COMPLETION_SECONDS")
class Noop(Kind):
    """Takes an empty input and is done: it shows that queue, socket and webhook work."""

    def parts(self, given: Any, catalog: Catalog) -> list[Part]:
        if given:
            raise BadInput("must be empty for a job of this kind.")
        return []
