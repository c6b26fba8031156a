-- The mark under which a wallet is low (microcredits available), or none. What is low under the new
-- mark is so from now on, or since it was under the old one. A closed wallet gets none. Answers the
-- balance.
CREATE OR REPLACE FUNCTION ledger_set_low_mark(p_account bigint, p_mark bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger__lock(p_account);
    UPDATE ledger_account
        SET low_mark = p_mark, low_since = ledger__low(low_since, p_mark, posted - held)
        WHERE id = p_account AND closed_at IS NULL;
    RETURN jsonb_build_object('balance', ledger__balance(p_account));
END $$;
