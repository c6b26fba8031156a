"""What must hold in the books, each rule as one query that answers only what breaks it.

Whatever a rule sums, it sums for everybody at once, so that a million transfers take seconds.
Amounts in the lines are microcredits, as the tables have them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A rule. Each row that ``sql`` answers is a violation, and ``line`` says it in words.

    ``line`` is a template over the query's columns. ``sql`` sees one snapshot of the database and
    takes no parameters.
    """

    name: str
    sql: str
    line: str


COUNTS = {
    "accounts": "SELECT count(*) FROM ledger_account",
    "transfers": "SELECT count(*) FROM ledger_transfer",
    "lots": "SELECT count(*) FROM ledger_grant",
    "holds": "SELECT count(*) FROM ledger_hold",
    "open holds": "SELECT count(*) FROM ledger_hold WHERE state = 'open'",
}

WALLETS = [
    Check(
        "wallet posted",
        """
        WITH credit AS (
            SELECT credit_id AS id, sum(amount) AS amount FROM ledger_transfer GROUP BY credit_id
        ), debit AS (
            SELECT debit_id AS id, sum(amount) AS amount FROM ledger_transfer GROUP BY debit_id
        )
        SELECT a.id, a.posted, coalesce(credit.amount, 0) - coalesce(debit.amount, 0) AS moved
        FROM ledger_account a LEFT JOIN credit USING (id) LEFT JOIN debit USING (id)
        WHERE a.kind = 'wallet'
          AND a.posted <> coalesce(credit.amount, 0) - coalesce(debit.amount, 0)
        """,
        "wallet {id}: posted is {posted}, its transfers make {moved}",
    ),
    Check(
        "wallet lots",
        """
        SELECT a.id, a.posted, coalesce(lots.remaining, 0) AS remaining
        FROM ledger_account a
        LEFT JOIN (SELECT account_id, sum(remaining) AS remaining FROM ledger_grant
                   WHERE NOT exhausted GROUP BY account_id) lots ON lots.account_id = a.id
        WHERE a.kind = 'wallet' AND a.posted <> coalesce(lots.remaining, 0)
        """,
        "wallet {id}: posted is {posted}, its lots have {remaining}",
    ),
    Check(
        "wallet held",
        """
        SELECT a.id, a.held, coalesce(open.amount, 0) AS open
        FROM ledger_account a
        LEFT JOIN (SELECT account_id, sum(amount) AS amount FROM ledger_hold
                   WHERE state = 'open' GROUP BY account_id) open ON open.account_id = a.id
        WHERE a.kind = 'wallet' AND a.held <> coalesce(open.amount, 0)
        """,
        "wallet {id}: held is {held}, its open holds have {open}",
    ),
    Check(
        "wallet owed",
        """
        WITH owed AS (  -- by transfers alone, so that it holds for deleted users' wallets too
            SELECT id, sum(amount) AS amount FROM (
                SELECT granted.credit_id AS id, t.amount FROM ledger_transfer t
                    LEFT JOIN ledger_transfer granted ON granted.id = t.reverses_id
                    WHERE t.kind = 'receivable'
                UNION ALL
                SELECT debit_id, -amount FROM ledger_transfer WHERE kind = 'settle'
            ) moved GROUP BY id
        )
        SELECT a.id, a.owed, coalesce(owed.amount, 0) AS moved
        FROM ledger_account a LEFT JOIN owed USING (id)
        WHERE a.kind = 'wallet' AND a.owed <> coalesce(owed.amount, 0)
        """,
        "wallet {id}: owed is {owed}, what was revoked and settled makes {moved}",
    ),
    Check(
        "receivable",
        """
        SELECT r.id, w.id AS wallet, coalesce(w.owed, 0) AS owed, r.amount FROM (
            SELECT a.id, a.owner_id, coalesce(sum(CASE WHEN t.debit_id = a.id
                                                  THEN t.amount ELSE -t.amount END), 0) AS amount
            FROM ledger_account a
            LEFT JOIN ledger_transfer t ON t.kind IN ('receivable', 'settle')
                AND a.id IN (t.debit_id, t.credit_id)
            WHERE a.kind = 'receivable' AND a.owner_id IS NOT NULL
            GROUP BY a.id
        ) r LEFT JOIN ledger_account w ON w.owner_id = r.owner_id AND w.kind = 'wallet'
        WHERE r.amount <> coalesce(w.owed, 0)
        """,
        "receivable {id}: its transfers make {amount}, wallet {wallet} owes {owed}",
    ),
    Check(
        "frozen wallet",
        """
        SELECT id, owed, posted - held AS available FROM ledger_account
        WHERE owed > 0 AND posted <> held
        """,
        "wallet {id}: owes {owed} and has {available} available, which should have settled it",
    ),
    Check(
        "no balance",
        """
        SELECT id, kind, posted, held, owed FROM ledger_account
        WHERE kind <> 'wallet' AND (posted <> 0 OR held <> 0 OR owed <> 0)
        """,
        "account {id} ({kind}): keeps posted {posted}, held {held}, owed {owed}; all should be 0",
    ),
]

HOLDS = [
    Check(
        "captured once",
        """
        SELECT h.id, h.captured, coalesce(t.transfers, 0) AS transfers,
               coalesce(t.amount, 0) AS amount
        FROM ledger_hold h
        LEFT JOIN (SELECT hold_id, debit_id, count(*) AS transfers, sum(amount) AS amount
                   FROM ledger_transfer WHERE kind = 'capture' GROUP BY hold_id, debit_id) t
            ON t.hold_id = h.id AND t.debit_id = h.account_id
        WHERE h.state = 'captured'
          AND (t.transfers IS DISTINCT FROM 1 OR t.amount IS DISTINCT FROM h.captured)
        """,
        "hold {id}: captured is {captured}, and {transfers} captures moved {amount}",
    ),
    Check(
        "capture of a captured hold",
        """
        SELECT t.id, t.amount, t.debit_id, t.hold_id AS hold
        FROM ledger_transfer t
        LEFT JOIN ledger_hold h
            ON h.id = t.hold_id AND h.account_id = t.debit_id AND h.state = 'captured'
        WHERE t.kind = 'capture' AND h.id IS NULL
        """,
        "transfer {id}: captured {amount} from account {debit_id}, where {hold} is no captured"
        " hold",
    ),
    Check(
        "stale hold",
        # A sweeper comes by every 5 seconds; 15 is three misses.
        """
        SELECT id, account_id, amount, kind,
               round(extract(epoch FROM now() - lease_until)) AS seconds
        FROM ledger_hold WHERE state = 'open' AND lease_until < now() - interval '15 seconds'
        """,
        "hold {id}: open for {amount} of account {account_id}, though its lease ran out"
        " {seconds} s ago",
    ),
    Check(
        "hold of nobody",
        """
        SELECT h.id, h.amount, h.account_id, coalesce(a.kind, 'missing') AS kind
        FROM ledger_hold h LEFT JOIN ledger_account a ON a.id = h.account_id
        WHERE a.kind IS DISTINCT FROM 'wallet'
        """,
        "hold {id}: of {amount} on account {account_id}, which is {kind}",
    ),
]

TRANSFERS = [
    Check(
        "stray transfer",
        """
        SELECT t.id, t.amount, t.account FROM (
            SELECT id, amount, debit_id AS account FROM ledger_transfer
            UNION ALL SELECT id, amount, credit_id FROM ledger_transfer
        ) t LEFT JOIN ledger_account a ON a.id = t.account
        WHERE a.id IS NULL
        """,
        "transfer {id}: moves {amount}, but there is no account {account}",
    ),
    Check(
        "refunded",
        """
        SELECT t.id, t.amount, t.kind, sum(r.amount) AS refunded
        FROM ledger_transfer r LEFT JOIN ledger_transfer t ON t.id = r.reverses_id
        WHERE r.kind = 'refund'
        GROUP BY t.id
        HAVING t.id IS NULL OR sum(r.amount) > t.amount OR t.kind NOT IN ('capture', 'adjustment')
        """,
        "transfer {id} ({kind}): took {amount}, and {refunded} of it were refunded",
    ),
]

# What transfers say they drew from lots.
_DRAWN = """
    WITH drawn AS (
        SELECT t.kind, t.debit_id, (pair ->> 0)::bigint AS lot, (pair ->> 1)::bigint AS part
        FROM ledger_transfer t
        CROSS JOIN LATERAL jsonb_array_elements(t.metadata -> 'lots') pair
        WHERE t.kind IN ('capture', 'adjustment', 'settle', 'expire', 'revoke')
    )
"""

LOTS = [
    Check(
        "lot drawn",
        _DRAWN
        + """
        SELECT g.id, g.remaining, g.amount, coalesce(d.part, 0) AS drawn
        FROM ledger_grant g
        LEFT JOIN (SELECT lot, debit_id, sum(part) AS part FROM drawn GROUP BY lot, debit_id) d
            ON d.lot = g.id AND d.debit_id = g.account_id
        WHERE g.remaining <> g.amount - coalesce(d.part, 0)
        """,
        "lot {id}: {remaining} of {amount} remain, though {drawn} were drawn",
    ),
    Check(
        "drawn from lots",
        """
        SELECT t.id, t.kind, t.amount, d.part AS drawn
        FROM ledger_transfer t
        CROSS JOIN LATERAL (
            SELECT coalesce(sum((pair ->> 1)::bigint), 0) AS part
            FROM jsonb_array_elements(t.metadata -> 'lots') pair
        ) d
        WHERE t.kind IN ('capture', 'adjustment', 'settle', 'expire', 'revoke')
          AND t.debit_id <> ledger__system('expired')  -- what had lapsed is in no lot
          AND t.amount <> d.part
        """,
        "transfer {id} ({kind}): moved {amount}, drawn from its wallet's lots were {drawn}",
    ),
    Check(
        "granted",
        """
        SELECT t.id, t.kind, t.amount, coalesce(g.amount, 0) AS lots
        FROM (SELECT * FROM ledger_transfer
              WHERE kind IN ('purchase', 'allowance', 'promotion', 'refund')) t
        FULL JOIN (SELECT transfer_id AS id, account_id, sum(amount) AS amount
                   FROM ledger_grant GROUP BY transfer_id, account_id) g
            ON g.id = t.id AND g.account_id = t.credit_id
        WHERE t.id IS NOT NULL AND t.amount IS DISTINCT FROM g.amount
        """,
        "transfer {id} ({kind}): granted {amount}, the lots it made in that wallet are {lots}",
    ),
    Check(
        "lot from nothing",
        """
        SELECT g.id, g.amount, g.account_id, g.transfer_id
        FROM ledger_grant g LEFT JOIN ledger_transfer t ON t.id = g.transfer_id
        WHERE t.id IS NULL OR t.credit_id <> g.account_id OR t.kind <> g.kind
        """,
        "lot {id}: {amount} in wallet {account_id}, where transfer {transfer_id} did not put them",
    ),
    Check(
        "revoked",
        """
        SELECT g.id, g.amount, g.revoked, coalesce(r.amount, 0) AS moved
        FROM ledger_grant g
        LEFT JOIN (SELECT reverses_id, sum(amount) AS amount FROM ledger_transfer
                   WHERE kind IN ('revoke', 'receivable') GROUP BY reverses_id) r
            ON r.reverses_id = g.transfer_id AND g.kind <> 'refund'
        WHERE g.revoked > g.amount OR g.revoked <> coalesce(r.amount, 0)
        """,
        "lot {id}: revoked is {revoked} of {amount}, its transfers make {moved}",
    ),
    Check(
        "lapsed",
        _DRAWN
        + """
        , expired AS (
            SELECT lot AS id, sum(part) AS amount FROM drawn WHERE kind = 'expire' GROUP BY lot
        ), returned AS (
            SELECT reverses_id, sum(amount) AS amount FROM ledger_transfer
            WHERE kind = 'revoke' AND debit_id = ledger__system('expired') GROUP BY reverses_id
        )
        SELECT g.id, g.lapsed, coalesce(expired.amount, 0) - coalesce(returned.amount, 0) AS moved
        FROM ledger_grant g LEFT JOIN expired USING (id)
        LEFT JOIN returned ON returned.reverses_id = g.transfer_id AND g.kind <> 'refund'
        WHERE g.lapsed <> coalesce(expired.amount, 0) - coalesce(returned.amount, 0)
        """,
        "lot {id}: lapsed is {lapsed}, its transfers make {moved}",
    ),
]

CHECKS = [*WALLETS, *HOLDS, *TRANSFERS, *LOTS]
