"""GET /api/calls: newest first, filtered, a page at a time, as CSV, and only one's own."""

import csv
import io
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.usage.calls import written
from usage.models import Call

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def minutes(count):
    return NOON + timedelta(minutes=count)


def ids(response):
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


def test_a_row_is_a_receipt(api, user):
    call = written(
        user, started=NOON, held=2_000_000, spent=750_001, estimated=True, reasoning_tokens=30
    )
    assert api.get("/api/calls").json() == {
        "next": None,
        "previous": None,
        "results": [
            {
                "id": str(call.id),
                "model": "demo",
                "provider": "demo",
                "status": "completed",
                "held": "2.000000",
                "spent": "0.750001",
                "returned": "1.249999",
                "estimated": True,
                "input_tokens": 100,
                "cached_tokens": 20,
                "output_tokens": 50,
                "reasoning_tokens": 30,
                "started": "2026-11-20T12:00:00Z",
                "finished": "2026-11-20T12:00:02Z",
            }
        ],
    }


def test_what_was_spent_past_the_hold_returns_nothing(api, user):
    written(user, held=100, spent=150)
    assert api.get("/api/calls").json()["results"][0]["returned"] == "0.000000"


def test_newest_first_and_only_ones_own(api, user, stranger):
    mine = [written(user, started=minutes(n)) for n in range(3)]
    written(stranger, started=minutes(1))
    written(None, started=minutes(1))
    assert ids(api.get("/api/calls")) == [str(call.id) for call in reversed(mine)]


@pytest.mark.parametrize("newest_is_shared", [False, True])
def test_pages_there_and_back_with_calls_of_one_instant(api, user, newest_is_shared):
    starts = [0, 1, 1, 1, 1, 2, 3] if not newest_is_shared else [0, 1, 1, 1]
    calls = [written(user, started=minutes(n)) for n in starts]
    expected = sorted(calls, key=lambda call: (call.started, call.id), reverse=True)
    pages, link = [], "/api/calls?limit=2&status=completed"
    while link:
        answer = api.get(link)
        pages.append(ids(answer))
        last, link = answer.json(), answer.json()["next"]
    assert [row for page in pages for row in page] == [str(call.id) for call in expected]
    for page in reversed(pages[:-1]):
        answer = api.get(last["previous"])
        last = answer.json()
        assert ids(answer) == page
    assert last["previous"] is None


def test_filters(api, user):
    old = written(user, started=minutes(0), model="gpt-5", status=Call.Status.FAILED)
    new = written(user, started=minutes(10), model="demo")
    for query, expected in [
        ({"model": "gpt-5"}, [old]),
        ({"model": "unknown"}, []),
        ({"status": "failed"}, [old]),
        ({"since": "2026-11-20T12:10:00Z"}, [new]),
        ({"until": "2026-11-20T12:10:00Z"}, [old]),
        ({"since": "2026-11-20T14:10:00+02:00"}, [new]),
        ({"since": "2026-11-20", "until": "2026-11-21"}, [new, old]),
        ({"since": "2026-11-21"}, []),
    ]:
        assert ids(api.get("/api/calls", query)) == [str(call.id) for call in expected], query


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"limit": "x"}, "limit"),
        ({"limit": "0"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "9" * 30}, None),
        ({"status": "open"}, "status"),
        ({"since": "yesterday"}, "since"),
        ({"until": "9999-12-31T23:59:59-23:00"}, "until"),
        ({"model": "a\0b"}, "model"),
        ({"model": "a" * 201}, "model"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "WzAsIngiLCJ5Il0"}, "cursor"),
        ({"cursor": "\0"}, "cursor"),
        ({"format": "xml"}, "format"),
    ],
)
def test_bad_input_names_the_parameter(api, query, param):
    response = api.get("/api/calls", query)
    if param is None:  # a number as large as you like is as many as there may be
        assert response.status_code == 200
        return
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_as_csv(api, user):
    call = written(user, model="=HYPERLINK(1)", started=NOON)
    response = api.get("/api/calls?format=csv")
    assert response["content-type"] == "text/csv; charset=utf-8"
    header, row = csv.reader(io.StringIO(response.content.decode(), newline=""))
    assert header[:4] == ["id", "model", "provider", "status"]
    assert row[:3] == [str(call.id), "'=HYPERLINK(1)", "demo"]
    by_accept = api.get("/api/calls", headers={"accept": "text/csv"})
    assert by_accept.content == response.content


def test_a_csv_that_goes_on_says_where(api, user, monkeypatch):
    monkeypatch.setattr("common.tables.CSV_MOST", 2)
    for n in range(3):
        written(user, started=minutes(n))
    first = api.get("/api/calls?format=csv&limit=900")
    assert first.content.count(b"\r\n") == 3
    link = first["link"]
    assert 'rel="next"' in link
    second = api.get(link[link.index("<") + 1 : link.index(">")])
    assert second.content.count(b"\r\n") == 2
    assert second["content-type"].startswith("text/csv")


def test_errors_of_a_csv_are_json(client, api):
    response = client.get("/api/calls?format=csv")
    assert response.status_code == 401
    assert response["content-type"] == "application/json"
    response = api.get("/api/calls?format=csv&limit=x")
    assert response.json()["error"]["param"] == "limit"


def test_a_cursor_of_anothers_shows_nothing_of_theirs(api, stranger_api, user, stranger):
    for n in range(3):
        written(stranger, started=minutes(n))
    mine = written(user, started=minutes(-5))
    cursor = stranger_api.get("/api/calls?limit=1").json()["next"]
    assert ids(api.get(cursor)) == [str(mine.id)]


def test_a_page_is_one_query(api, user, django_assert_num_queries):
    for n in range(20):
        written(user, id=uuid.uuid4(), started=minutes(n))
    api.get("/api/calls")
    with django_assert_num_queries(2):  # the key, and the page
        api.get("/api/calls")
