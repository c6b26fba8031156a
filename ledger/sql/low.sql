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

-- Somebody wanted credits that a user's wallet does not have. One that is under its mark is low from
-- now on, if nothing has made it so before: credits that expired don't. Answers whether it is new.
CREATE OR REPLACE FUNCTION ledger_wanted_more(p_owner bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE a ledger_account := ledger__lock(ledger_account_of(p_owner, 'wallet'));
BEGIN
    IF a.low_since IS NOT NULL OR a.low_mark IS NULL OR a.posted - a.held >= a.low_mark THEN
        RETURN false;
    END IF;
    UPDATE ledger_account SET low_since = clock_timestamp() WHERE id = a.id;
    RETURN true;
END $$;
