"""What must hold between jobs and their calls' holds. See ``ledger.checks``."""

from ledger.checks import Check

COUNTS = {
    "jobs": "SELECT count(*) FROM jobs_job",
    "open jobs": "SELECT count(*) FROM jobs_job WHERE finished IS NULL",
}

CHECKS = [
    Check(
        "job's hold",
        """
        SELECT i.job_id AS id, i.call, i.state, coalesce(h.state, 'missing') AS hold
        FROM jobs_item i LEFT JOIN ledger_hold h ON h.id = i.call
        WHERE (i.state IN ('queued', 'running')) <> (coalesce(h.state, 'missing') = 'open')
        """,
        "job {id}: its item {call} is {state}, its hold is {hold}",
    ),
    Check(
        "hold's job",
        """
        SELECT h.id, h.metadata ->> 'job' AS job, h.amount FROM ledger_hold h
        LEFT JOIN jobs_item i ON i.call = h.id
        WHERE h.state = 'open' AND h.metadata ? 'job' AND i.id IS NULL
        """,
        "hold {id}: open for {amount}, and its job {job} is not there",
    ),
    Check(
        "job's sums",
        """
        SELECT j.id, j.state, j.total, j.spent, i.items, i.open, i.spent AS item_spent
        FROM jobs_job j CROSS JOIN LATERAL (
            SELECT count(*) AS items, coalesce(sum(spent), 0) AS spent,
                   count(*) FILTER (WHERE state IN ('queued', 'running')) AS open
            FROM jobs_item WHERE job_id = j.id
        ) i
        WHERE j.total <> i.items OR j.spent <> i.spent
           OR (j.finished IS NOT NULL AND i.open > 0)
           OR (j.finished IS NULL AND i.open = 0 AND j.total > 0)
        """,
        "job {id} ({state}): {items} items of {total}, {open} open; spent {spent},"
        " its items {item_spent}",
    ),
]
