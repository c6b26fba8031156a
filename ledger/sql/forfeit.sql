-- Leaving for good. Every lot is due now, so its unheld part expires at once and what an open hold
-- keeps back expires after the hold has ended, by the rules there are for lots that are due. The
-- wallet is closed: whatever still comes in (ledger__add_lot) leaves the same way. What it owes
-- stays owed, and is paid first from what open holds return. Again, it does nothing more.
CREATE OR REPLACE FUNCTION ledger_forfeit(p_account bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    a ledger_account := ledger__lock(p_account);
    v_now timestamptz := clock_timestamp();
BEGIN
    UPDATE ledger_account SET closed_at = v_now, low_mark = NULL, low_since = NULL
        WHERE id = p_account AND closed_at IS NULL;
    UPDATE ledger_grant SET expires_at = v_now
        WHERE account_id = p_account AND NOT exhausted
          AND (expires_at IS NULL OR expires_at > v_now);
    RETURN jsonb_build_object(
        'amount', ledger__expire_due(p_account), 'balance', ledger__balance(p_account));
END $$;
