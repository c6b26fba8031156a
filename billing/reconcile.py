"""What must hold between payments, their lots and the ledger. See ``ledger.checks``."""

from ledger.checks import Check

COUNTS = {"payments": "SELECT count(*) FROM billing_payment"}

# A payment's own lots have keys of the paid object; those that restored it have a revision's.
_LOTS = """
    SELECT pg.payment_id AS id, g.amount, g.revoked, g.account_id,
           t.key LIKE 'stripe:payment:%' AS restored
    FROM billing_paymentgrant pg
    JOIN ledger_grant g ON g.id = pg.grant_id
    JOIN ledger_transfer t ON t.id = g.transfer_id
"""

CHECKS = [
    Check(
        "payment granted",
        f"""
        SELECT p.object_id, p.granted, coalesce(l.granted, 0) AS lots
        FROM billing_payment p
        LEFT JOIN (SELECT id, sum(amount) AS granted FROM ({_LOTS}) lots
                   WHERE NOT restored GROUP BY id) l USING (id)
        WHERE p.granted <> coalesce(l.granted, 0)
        """,
        "payment {object_id}: granted is {granted}, its lots were made with {lots}",
    ),
    Check(
        "payment revoked",
        f"""
        SELECT p.object_id, p.revoked, coalesce(l.undone, 0) AS undone
        FROM billing_payment p
        LEFT JOIN (SELECT id, sum(revoked - CASE WHEN restored THEN amount ELSE 0 END) AS undone
                   FROM ({_LOTS}) lots GROUP BY id) l USING (id)
        WHERE p.revoked <> coalesce(l.undone, 0)
        """,
        "payment {object_id}: revoked is {revoked}, less what was restored its lots say {undone}",
    ),
    Check(
        "payment of another's wallet",
        f"""
        SELECT p.object_id, p.user_id, l.account_id
        FROM billing_payment p JOIN ({_LOTS}) l USING (id)
        JOIN ledger_account a ON a.id = l.account_id
        WHERE a.owner_id IS NOT NULL AND a.owner_id <> p.user_id
        """,
        "payment {object_id}: of user {user_id}, but granted to wallet {account_id}",
    ),
    Check(
        "granted without a payment",
        """
        SELECT t.id, t.key, t.amount
        FROM ledger_transfer t
        LEFT JOIN ledger_grant g ON g.transfer_id = t.id
        LEFT JOIN billing_paymentgrant pg ON pg.grant_id = g.id
        WHERE t.kind IN ('purchase', 'allowance') AND pg.id IS NULL
          AND (t.key LIKE 'stripe:%' OR t.key LIKE 'demo:order:%')
        """,
        "transfer {id} ({key}): granted {amount}, and there is no payment for it",
    ),
]
