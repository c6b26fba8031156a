"""Views that answer a table: JSON a page at a time, or CSV."""

from typing import Any, ClassVar, TypeVar

from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from common.csvout import CsvRenderer
from common.paging import Cursor

S = TypeVar("S", bound=serializers.Serializer[Any])

PAGE, MOST = 50, 500
CSV_MOST = 10_000


def read_query(serializer: type[S], request: Request) -> dict[str, Any]:
    """The query's parameters as ``serializer`` reads them; raises ``ValidationError``."""
    query = serializer(data=request.query_params)
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


class PageQuery(serializers.Serializer[Any]):
    """Which page, of which size."""

    cursor = serializers.CharField(
        required=False, max_length=500, help_text="from `next` or `previous`, as it is"
    )
    limit = serializers.IntegerField(
        required=False,
        min_value=1,
        help_text=f"rows a page: {PAGE}, at most {MOST}; as CSV {CSV_MOST}, which is the most",
    )


class TableView(APIView):
    """A table in JSON or CSV. A CSV that has more rows names the rest in a ``Link`` header."""

    renderer_classes: tuple[type[BaseRenderer], ...] = (JSONRenderer, CsvRenderer)
    csv_fields: ClassVar[list[str]] = []

    def page_size(self, request: Request, limit: int | None) -> int:
        """How many rows to answer, when ``limit`` were asked for."""
        as_csv = getattr(request, "accepted_renderer", None)
        usual, most = (CSV_MOST, CSV_MOST) if isinstance(as_csv, CsvRenderer) else (PAGE, MOST)
        return min(limit or usual, most)

    def cursor(self, query: dict[str, Any], parts: int) -> Cursor | None:
        """The cursor that was sent; ``BadInput`` when it is not one of ours."""
        text = query.get("cursor")
        return Cursor.read(text, parts) if text else None

    def respond(
        self, page: dict[str, Any], serializer: type[serializers.BaseSerializer[Any]]
    ) -> Response:
        """Answer a page of ``common.paging``."""
        rows = serializer(page["results"], many=True).data
        links = [
            f'<{page[name]}>; rel="{rel}"'
            for name, rel in (("next", "next"), ("previous", "prev"))
            if page.get(name)
        ]
        return Response(
            page | {"results": rows}, headers={"Link": ", ".join(links)} if links else None
        )
