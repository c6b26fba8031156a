"""Many keys made at the same moment: no more than there may be."""

from django.db import connection

from accounts import verbs
from accounts.models import ApiKey
from common.errors import BadInput
from tests.racing import Meeting, at_once

RACERS = 8


def _fill(user, room):
    for n in range(verbs.KEYS_A_USER - room):
        verbs.issue_key(user=user, name=str(n))


def test_no_more_than_there_may_be(user):
    _fill(user, room=2)

    def make():
        try:
            verbs.issue_key(user=user, name="raced")
        except BadInput:
            return 0
        finally:
            connection.close()
        return 1

    assert sum(at_once([make] * RACERS)) == 2
    assert ApiKey.objects.count() == verbs.KEYS_A_USER


def test_control_without_the_users_lock_there_are_more(user, connect):
    """Count, then insert."""
    _fill(user, room=2)
    meeting = Meeting()
    naive = f"""
        DO $$ BEGIN
            IF (SELECT count(*) FROM accounts_apikey WHERE user_id = {user.pk})
                < {verbs.KEYS_A_USER}
            THEN
                {meeting.point}
                INSERT INTO accounts_apikey
                    (id, user_id, name, prefix, digest, scopes, created_at)
                VALUES (gen_random_uuid(), {user.pk}, 'raced', 'fb_',
                        sha256(gen_random_uuid()::text::bytea), ARRAY['read'], now());
            END IF;
        END $$
    """
    conns = [connect() for _ in range(RACERS)]
    meeting.expect(connect(), RACERS)

    at_once([lambda conn=conn: conn.execute(naive) for conn in conns])

    assert ApiKey.objects.count() > verbs.KEYS_A_USER
