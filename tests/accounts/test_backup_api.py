"""``/api/backup``: one opaque blob, never replaced or deleted by accident."""

import re

import pytest
from django.db import connection
from django.test import Client

from accounts import backups, verbs
from accounts.backups import MOST_BYTES, Precondition
from accounts.models import Backup
from common.errors import PreconditionFailed, PreconditionRequired
from tests.racing import Meeting, at_once

PATH = "/api/backup"
BINARY = "application/octet-stream"
BLOB = bytes(range(256)) * 3


@pytest.fixture
def browser(client, user):
    client.force_login(user)
    return client


def put(browser, blob=BLOB, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return browser.put(PATH, blob, content_type=BINARY, headers=named)


def code(response):
    return response.status_code, response.json()["error"]["code"]


@pytest.mark.django_db
class TestOne:
    def test_what_was_stored_comes_back_byte_by_byte(self, browser):
        stored = put(browser, if_none_match="*")
        assert (stored.status_code, stored.content) == (201, b"")
        assert re.fullmatch(r'"[0-9a-f]+"', stored["etag"])
        fetched = browser.get(PATH)
        assert (fetched.status_code, fetched.content) == (200, BLOB)
        assert fetched["etag"] == stored["etag"]
        assert fetched["content-type"] == BINARY
        assert fetched["cache-control"] == "private, no-store"
        head = browser.head(PATH)
        assert (head.status_code, head["etag"]) == (200, stored["etag"])
        assert head["content-length"] == str(len(BLOB))

    def test_there_is_none_at_first(self, browser):
        assert code(browser.get(PATH)) == (404, "not_found")
        assert code(browser.delete(PATH, headers={"if-match": "*"})) == (404, "not_found")
        assert code(put(browser, if_match='"1"')) == (412, "precondition_failed")
        assert code(put(browser, if_match="*")) == (412, "precondition_failed")

    def test_the_first_needs_no_precondition(self, browser):
        assert put(browser).status_code == 201

    def test_a_second_needs_one(self, browser):
        put(browser)
        response = put(browser, b"other")
        assert code(response) == (428, "precondition_required")
        assert "If-Match" in response.json()["error"]["message"]
        assert browser.get(PATH).content == BLOB

    def test_the_etag_replaces_and_changes(self, browser):
        first = put(browser)["etag"]
        second = put(browser, b"two", if_match=first)
        assert second.status_code == 204
        assert second["etag"] != first
        assert browser.get(PATH).content == b"two"
        stale = put(browser, b"three", if_match=first)
        assert code(stale) == (412, "precondition_failed")
        assert "fetch it" in stale.json()["error"]["message"]
        assert browser.get(PATH).content == b"two"

    def test_one_of_several_etags_and_any_will_do(self, browser):
        etag = put(browser)["etag"]
        assert put(browser, b"two", if_match=f'"x", {etag}').status_code == 204
        assert put(browser, b"three", if_match="*").status_code == 204
        assert browser.get(PATH).content == b"three"

    def test_a_weak_etag_never_matches_strongly(self, browser):
        etag = put(browser)["etag"]
        assert put(browser, b"two", if_match=f"W/{etag}").status_code == 412

    def test_none_match_makes_only_the_first(self, browser):
        assert put(browser, if_none_match="*").status_code == 201
        assert code(put(browser, b"two", if_none_match="*")) == (412, "precondition_failed")
        assert browser.get(PATH).content == BLOB

    @pytest.mark.parametrize("header", ["if-match", "if-none-match"])
    def test_what_is_no_etag_is_said_to_be_none(self, browser, header):
        put(browser)
        response = browser.put(PATH, b"x", content_type=BINARY, headers={header: "abc"})
        assert response.status_code == 400
        assert response.json()["error"]["param"].lower() == header

    def test_unchanged_is_304(self, browser):
        etag = put(browser)["etag"]
        for tag in (etag, f"W/{etag}", f'"x", {etag}', "*"):
            response = browser.get(PATH, headers={"if-none-match": tag})
            assert (response.status_code, response.content) == (304, b""), tag
            assert response["etag"] == etag
        assert browser.get(PATH, headers={"if-none-match": '"x"'}).content == BLOB

    def test_deleting_wants_the_etag(self, browser):
        etag = put(browser)["etag"]
        assert code(browser.delete(PATH)) == (428, "precondition_required")
        assert browser.delete(PATH, headers={"if-match": '"x"'}).status_code == 412
        assert browser.delete(PATH, headers={"if-match": etag}).status_code == 204
        assert browser.get(PATH).status_code == 404

    def test_an_etag_of_a_deleted_backup_fits_no_later_one(self, browser):
        old = put(browser)["etag"]
        browser.delete(PATH, headers={"if-match": old})
        put(browser, b"new")
        assert put(browser, b"lost", if_match=old).status_code == 412
        assert browser.get(PATH, headers={"if-none-match": old}).content == b"new"

    def test_the_bound_is_exact(self, browser):
        assert put(browser, bytes(MOST_BYTES)).status_code == 201
        etag = browser.get(PATH)["etag"]
        response = put(browser, bytes(MOST_BYTES + 1), if_match=etag)
        assert code(response) == (413, "request_too_large")
        assert str(MOST_BYTES) in response.json()["error"]["message"]
        assert browser.get(PATH)["etag"] == etag

    def test_empty_is_refused(self, browser):
        assert code(put(browser, b"")) == (400, "bad_request")

    def test_the_bytes_are_sent_as_bytes(self, browser):
        response = browser.put(PATH, {"a": 1}, content_type="application/json")
        assert code(response) == (415, "unsupported_media_type")
        assert BINARY in response.json()["error"]["message"]

    def test_a_key_may_read_and_no_more(self, browser, user, api_key):
        etag = put(browser)["etag"]
        program = Client(headers={"x-api-key": api_key.secret})
        assert program.get(PATH).content == BLOB
        assert code(put(program, if_match=etag)) == (403, "permission_denied")
        deleted = program.delete(PATH, headers={"if-match": etag})
        assert code(deleted) == (403, "permission_denied")
        assert Client().get(PATH).status_code == 401

    def test_each_has_their_own(self, browser):
        put(browser)
        other = Client()
        other.force_login(verbs.create_user(email="other@example.com"))
        assert other.get(PATH).status_code == 404


def test_of_two_at_once_with_one_etag_one_wins(user):
    version, _ = backups.put(user=user, blob=b"start", condition=Precondition())
    condition = Precondition(match=(backups.etag(version),))

    def writer(number):
        def write():
            try:
                backups.put(user=user, blob=b"%d" % number, condition=condition)
            except PreconditionFailed:
                return None
            finally:
                connection.close()
            return number

        return write

    for _ in range(5):
        winners = [n for n in at_once([writer(n) for n in range(8)]) if n is not None]
        assert len(winners) == 1
        stored = backups.get(user=user)
        assert bytes(stored.blob) == b"%d" % winners[0]
        condition = Precondition(match=(backups.etag(stored.version),))


def test_of_many_first_ones_at_once_one_wins(user):
    def write():
        try:
            backups.put(user=user, blob=b"x", condition=Precondition())
        except PreconditionRequired:
            return 0
        finally:
            connection.close()
        return 1

    assert sum(at_once([write] * 8)) == 1


def test_control_looking_first_and_writing_then_lets_several_win(user, connect):
    """The same, but for the version in the UPDATE."""
    version, _ = backups.put(user=user, blob=b"start", condition=Precondition())
    meeting = Meeting()
    naive = f"""
        DO $$ BEGIN
            IF (SELECT version FROM accounts_backup WHERE user_id = {user.pk}) <> {version} THEN
                RAISE EXCEPTION 'stale';
            END IF;
            {meeting.point}
            UPDATE accounts_backup SET version = version + 1 WHERE user_id = {user.pk};
        END $$
    """
    conns = [connect() for _ in range(4)]
    meeting.expect(connect(), len(conns))

    at_once([lambda conn=conn: conn.execute(naive) for conn in conns])

    assert Backup.objects.get(user=user).version > version + 1
