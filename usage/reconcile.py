"""What must hold between calls, their months and the ledger. See ``ledger.checks``."""

from ledger.checks import Check

COUNTS = {
    "calls": "SELECT count(*) FROM usage_call",
    "months": "SELECT count(*) FROM usage_monthlyusage",
}

CHECKS = [
    Check(
        "call recorded",
        """
        SELECT coalesce(h.id, c.id) AS id, coalesce(h.state, 'missing') AS state,
               coalesce(c.status, 'missing') AS status
        FROM (SELECT id, state FROM ledger_hold WHERE kind = 'call') h
        FULL JOIN usage_call c ON c.id = h.id
        WHERE (h.id IS NULL) OR (h.state = 'open') = (c.id IS NOT NULL)
        """,
        "call {id}: its hold is {state}, its record is {status}",
    ),
    Check(
        "call spent",
        # What the call itself took: its capture, and what late usage added or gave back. A refund
        # that the operator makes later has another key, and leaves the record as it was.
        """
        WITH moved AS (
            SELECT hold_id AS id, sum(CASE kind WHEN 'refund' THEN -amount ELSE amount END) AS spent
            FROM ledger_transfer
            WHERE hold_id IS NOT NULL AND (kind IN ('capture', 'adjustment')
                OR (kind = 'refund' AND key = 'call:' || hold_id || ':late'))
            GROUP BY hold_id
        )
        SELECT c.id, c.spent, coalesce(moved.spent, 0) AS moved
        FROM usage_call c LEFT JOIN moved USING (id) WHERE c.spent <> coalesce(moved.spent, 0)
        """,
        "call {id}: spent is {spent}, its transfers make {moved}",
    ),
    Check(
        "call written off",
        """
        WITH moved AS (
            SELECT hold_id AS id, sum(CASE WHEN debit_id = ledger__system('write_off')
                                      THEN amount ELSE -amount END) AS amount
            FROM ledger_transfer WHERE kind = 'write_off' GROUP BY hold_id
        )
        SELECT c.id, c.written_off, coalesce(moved.amount, 0) AS moved
        FROM usage_call c LEFT JOIN moved USING (id)
        WHERE c.written_off <> coalesce(moved.amount, 0)
        """,
        "call {id}: written off is {written_off}, its transfers make {moved}",
    ),
    Check(
        "call held",
        """
        SELECT c.id, c.held, h.amount FROM usage_call c JOIN ledger_hold h USING (id)
        WHERE c.held <> h.amount
        """,
        "call {id}: held is {held}, its hold was {amount}",
    ),
    Check(
        "month",
        """
        WITH calls AS (
            SELECT user_id, api_key_id AS key,
                   to_char(started AT TIME ZONE 'UTC', 'YYYY-MM') AS month,
                   CASE WHEN status = 'failed' THEN 0 ELSE 1 END AS requests,
                   input_tokens AS input, output_tokens AS output, spent
            FROM usage_call
            UNION ALL
            SELECT (metadata ->> 'user')::bigint, (metadata ->> 'key')::uuid,
                   to_char(created AT TIME ZONE 'UTC', 'YYYY-MM'), 1, 0, 0, 0
            FROM ledger_hold WHERE kind = 'call' AND state = 'open'
        ), both_sides AS (
            SELECT true AS kept, user_id, api_key_id AS key, month, requests,
                   input_tokens AS input, output_tokens AS output, spent
            FROM usage_monthlyusage
            UNION ALL  -- nobody keeps the months of a deleted user
            SELECT false, calls.* FROM calls JOIN accounts_user u ON u.id = calls.user_id
        ), sums AS (
            SELECT kept, user_id, key, month, sum(requests) AS requests, sum(input) AS input,
                   sum(output) AS output, sum(spent) AS spent
            FROM both_sides GROUP BY kept, user_id, key, month
        )
        SELECT user_id, coalesce(key::text, 'none') AS key, month, side.kept, side.calls
        FROM (
            SELECT user_id, key, month,
                   coalesce(max(said) FILTER (WHERE kept), 'nothing') AS kept,
                   coalesce(max(said) FILTER (WHERE NOT kept), 'nothing') AS calls
            FROM (SELECT *, format('%s requests, %s + %s tokens, %s spent',
                                   requests, input, output, spent) AS said FROM sums) said
            GROUP BY user_id, key, month
        ) side
        WHERE side.kept <> side.calls
        """,
        "month {month} of user {user_id}, key {key}: kept are {kept}; its calls make {calls}",
    ),
]
