"""Pages by keyset: whole, in order, nothing twice, whatever arrives meanwhile."""

from urllib.parse import parse_qs, urlsplit

import pytest
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from common.errors import BadInput
from common.paging import Cursor, paginate


def page(rows, limit, text=None):
    """A page of ``rows``, a list of numbers."""
    cursor = Cursor.read(text, 1) if text else None

    def fetch(cursor, count):
        ordered = sorted(rows, reverse=True)
        if cursor and cursor.newer:
            return [row for row in reversed(ordered) if row > int(cursor.place[0])][:count]
        if cursor:
            return [row for row in ordered if row < int(cursor.place[0])][:count]
        return ordered[:count]

    request = Request(APIRequestFactory().get("/api/rows", {"limit": limit, "a": "b"}))
    return paginate(request, cursor=cursor, limit=limit, fetch=fetch, place=lambda row: (str(row),))


def cursor_of(link):
    query = parse_qs(urlsplit(link).query)
    assert query["a"] == ["b"]
    return query["cursor"][0]


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 6, 7, 12])
def test_there_and_back_again(count):
    rows = list(range(count))
    pages, current = [], page(rows, 3)
    assert current["previous"] is None
    while True:
        pages.append(current)
        if not current["next"]:
            break
        current = page(rows, 3, cursor_of(current["next"]))
        assert current["previous"]
    assert [row for shown in pages for row in shown["results"]] == rows[::-1]
    for expected in reversed(pages[:-1]):
        current = page(rows, 3, cursor_of(current["previous"]))
        assert current["results"] == expected["results"]
        assert current["next"]
    assert current["previous"] is None or len(pages) == 1


def test_rows_that_arrive_move_nothing():
    first = page([1, 2, 3, 4], 2)
    second = page([1, 2, 3, 4, 5, 6], 2, cursor_of(first["next"]))
    assert (first["results"], second["results"]) == ([4, 3], [2, 1])
    newer = page([1, 2, 3, 4, 5, 6], 9, cursor_of(second["previous"]))
    assert newer["results"] == [6, 5, 4, 3]


def test_a_cursor_reads_what_it_writes():
    cursor = Cursor(("2026-11-20T09:00:00+00:00", "x"), newer=True)
    assert Cursor.read(str(cursor), 2) == cursor


@pytest.mark.parametrize(
    "text", ["", "x", "é", "W10", "WzBd", "WzAsNV0", "eyJhIjoxfQ", "NQ", "WzIsIjUiXQ", "=" * 400]
)
def test_what_is_no_cursor_is_bad_input(text):
    with pytest.raises(BadInput) as caught:
        Cursor.read(text, 1)
    assert caught.value.param == "cursor"
