"""Many at the same moment: the promises hold, and each control shows what would break them.

The multitudes run inside the database, one session a racer and one commit a verb, so that the
time goes into racing rather than into round trips.
"""

import collections
import random

import pytest

from common.errors import InsufficientCredits
from ledger import verbs
from ledger.models import Hold, Transfer
from tests.ledger.books import LEASE, balance, query
from tests.racing import Meeting, at_once, on

pytestmark = pytest.mark.usefixtures("proved")

RACERS = 10

# Runs %(act)s for every x of an array, a transaction each; counts the outcomes.
RACE = """
CREATE FUNCTION pg_temp.act(x text) RETURNS void LANGUAGE plpgsql AS $act$
BEGIN {act}; END $act$;
CREATE TEMP TABLE outcome (word text);
CREATE PROCEDURE pg_temp.race(work text[]) LANGUAGE plpgsql AS $race$
DECLARE x text;
BEGIN
    FOREACH x IN ARRAY work LOOP
        BEGIN
            PERFORM pg_temp.act(x);
            INSERT INTO outcome VALUES ('done');
        EXCEPTION WHEN SQLSTATE 'FB402' THEN INSERT INTO outcome VALUES ('too little');
                  WHEN SQLSTATE 'FB410' THEN INSERT INTO outcome VALUES ('too late');
                  WHEN check_violation THEN INSERT INTO outcome VALUES ('refused');
        END;
        COMMIT;
    END LOOP;
END $race$;
"""


@pytest.fixture
def race(connect):
    """``race([(act, work), ...])``: a session for each, all at once; the outcomes of each. They
    wait for each other where ``meeting`` has its point in what they do."""

    def race(racers, meeting=None):
        if meeting:
            meeting.expect(connect(), len(racers))

        def racer(act, work):
            conn = connect()
            conn.execute(RACE.format(act=act))

            def run():
                conn.execute("CALL pg_temp.race(%s)", [list(work)])
                return collections.Counter(
                    word for (word,) in conn.execute("SELECT word FROM outcome")
                )

            return run

        return at_once([racer(act, work) for act, work in racers])

    return race


def test_200_holds_at_once_on_a_balance_for_100(wallet, fund, connect):
    fund(wallet, 1000)

    def taker(number):
        conn = connect()

        def take():
            won = 0
            for place in range(10):
                try:
                    on(
                        conn,
                        verbs.hold,
                        account=wallet,
                        amount=10,
                        kind="api",
                        lease=LEASE,
                        key=f"{number}:{place}",
                    )
                    won += 1
                except InsufficientCredits:
                    pass
            return won

        return take

    won = at_once([taker(number) for number in range(20)])

    assert sum(won) == 100
    assert balance(wallet) == (1000, 1000, 0)
    assert Hold.objects.filter(state="open").count() == 100


NAIVE_HOLD = """
DECLARE v_posted bigint; v_held bigint;
BEGIN
    SELECT posted, held INTO v_posted, v_held FROM ledger_account WHERE id = {wallet};
    IF v_posted - v_held < 10 THEN RAISE EXCEPTION 'too little' USING ERRCODE = 'FB402'; END IF;
    {all_look}
    UPDATE ledger_account SET held = v_held + 10 WHERE id = {wallet};
END
"""


def test_control_without_the_wallets_lock_more_than_100_are_taken(wallet, fund, race):
    """Read, decide, write: every racer sees a balance that others have spent already."""
    fund(wallet, 1000)
    meeting = Meeting()
    act = NAIVE_HOLD.format(wallet=wallet, all_look=meeting.point)

    outcomes = race([(act, ["x"] * 20)] * RACERS, meeting)

    assert sum(outcome["done"] for outcome in outcomes) > 100
    query("UPDATE ledger_account SET held = 0 WHERE id = %s", wallet)  # mended: it must prove


END = {
    "capture": "PERFORM ledger_capture(x::uuid, 3, 'capture:' || x, '{}')",
    "release": "PERFORM ledger_release(x::uuid, 'release:' || x)",
    "sweep": """IF ledger_sweep_one(x::uuid) IS NULL THEN
                    RAISE EXCEPTION 'ended' USING ERRCODE = 'FB410';
                END IF""",
}


@pytest.fixture
def holds(make_wallet, fund):
    """10,000 open holds of 10 whose lease has run out, on 100 wallets; half with a checkpoint."""
    for _ in range(100):
        fund(make_wallet(), 10_000)
    query(
        """
        WITH placed AS (
            INSERT INTO ledger_hold (id, account_id, kind, amount, lease_until, checkpoint,
                                     metadata)
            SELECT gen_random_uuid(), id, 'api', 10, now() - interval '1 second',
                   CASE WHEN n %% 2 = 0 THEN '{"charge": 4}'::jsonb END, '{}'
            FROM ledger_account, generate_series(1, 100) n WHERE kind = 'wallet'
        )
        UPDATE ledger_account SET held = 1000 WHERE kind = 'wallet'
        """
    )
    return [str(hold) for hold in Hold.objects.values_list("id", flat=True)]


def test_10_000_holds_raced_by_capture_release_and_sweep(holds, race):
    """Two racers of each kind go through all the holds: each ends once, in one of the ways."""
    assert len(holds) == 10_000
    random.Random(7).shuffle(holds)
    kinds = ["capture", "release", "sweep"]

    # All kinds in one order, so that they keep meeting at the same hold. A sweep leaves what is
    # locked, so on a busy machine it would always come last: it has a few to begin with.
    orders = [holds[half::2] for half in (0, 1)]
    ahead = [order[-50:] + order[:-50] for order in orders]
    outcomes = race(
        [(END[kind], order) for kind in kinds for order in (ahead if kind == "sweep" else orders)]
    )

    won = {
        kind: outcomes[2 * n]["done"] + outcomes[2 * n + 1]["done"] for n, kind in enumerate(kinds)
    }
    assert sum(won.values()) == 10_000
    assert all(won.values()), won  # each kind took part
    assert sum(sum(outcome.values()) for outcome in outcomes) == 30_000
    assert not Hold.objects.filter(state="open").exists()
    taken = dict(
        query("SELECT amount, count(*) FROM ledger_transfer WHERE kind = 'capture' GROUP BY amount")
    )
    assert taken[3] == won["capture"]
    assert 0 < taken[4] < won["sweep"]


NAIVE_END = """
DECLARE v_state text;
BEGIN
    SELECT state INTO v_state FROM ledger_hold WHERE id = x::uuid;
    IF v_state <> 'open' THEN RAISE EXCEPTION 'ended' USING ERRCODE = 'FB410'; END IF;
    PERFORM pg_sleep(0.001);
    INSERT INTO naive_end VALUES (x);
    UPDATE ledger_hold SET state = state WHERE id = x::uuid;  -- an end that asks nobody again
END
"""


def test_control_without_the_holds_lock_some_end_twice(wallet, fund, race):
    """Look, then act, without looking again under the lock."""
    fund(wallet, 1000)
    holds = [
        str(verbs.hold(account=wallet, amount=1, key=f"{n}", kind="api", lease=LEASE).hold)
        for n in range(100)
    ]
    query("CREATE TABLE naive_end (hold text)")

    outcomes = race([(NAIVE_END, holds)] * 4)

    query("DROP TABLE naive_end")
    assert sum(outcome["done"] for outcome in outcomes) > len(holds)


def test_1_000_keys_20_copies_each(wallet, race):
    """Ten sessions go twice through a thousand keys, in an order of their own."""
    dice = random.Random(7)
    keys = [f"key:{n}" for n in range(1000)]
    act = f"PERFORM ledger_grant({wallet}, 5, 'purchase', 30, NULL, x, '{{}}')"

    outcomes = race([(act, dice.sample(keys * 2, 2000)) for _ in range(RACERS)])

    assert sum(outcome["done"] for outcome in outcomes) == 20_000
    assert balance(wallet) == (5000, 0, 0)
    assert Transfer.objects.count() == 1000


NAIVE_GRANT = """
DECLARE v_seen boolean;
BEGIN
    SELECT EXISTS (SELECT FROM naive_key WHERE key = x) INTO v_seen;
    IF NOT v_seen THEN
        {all_look}
        INSERT INTO naive_key VALUES (x);
    END IF;
END
"""


def test_control_without_the_keys_lock_some_act_twice(wallet, race):
    """Check, then create."""
    query("CREATE TABLE naive_key (key text)")
    keys = [f"key:{n}" for n in range(100)]
    meeting = Meeting()

    race([(NAIVE_GRANT.format(all_look=meeting.point), keys)] * 4, meeting)

    ((effects,),) = query("SELECT count(*) FROM naive_key")
    query("DROP TABLE naive_key")
    assert effects > len(keys)


def test_refunds_at_once_give_back_what_was_taken_and_no_more(wallet, fund, connect):
    fund(wallet, 100)
    spent = verbs.spend(account=wallet, amount=100, key="spend").transfer

    def refunder(number):
        conn = connect()

        def refund():
            try:
                on(conn, verbs.refund, transfer=spent, amount=30, key=f"refund:{number}")
            except Exception as error:
                return type(error).__name__
            return "done"

        return refund

    outcomes = at_once([refunder(number) for number in range(8)])

    assert collections.Counter(outcomes) == {"done": 3, "BadInput": 5}
    assert balance(wallet) == (90, 0, 0)


def test_revocations_at_once_take_back_what_was_granted_and_no_more(wallet, fund, connect):
    grant = fund(wallet, 100).grant

    def revoker(number):
        conn = connect()

        def revoke():
            try:
                on(conn, verbs.revoke, grant=grant, amount=30, key=f"revoke:{number}")
            except Exception as error:
                return type(error).__name__
            return "done"

        return revoke

    outcomes = at_once([revoker(number) for number in range(8)])

    assert collections.Counter(outcomes) == {"done": 3, "BadInput": 5}
    assert balance(wallet) == (10, 0, 0)


def test_first_use_at_once_makes_one_wallet(user, connect):
    def maker():
        conn = connect()
        return lambda: on(conn, verbs.wallet_of, user=user.pk)

    assert len(set(at_once([maker() for _ in range(8)]))) == 1
