-- What the clock's tasks call: looking for due lots, and ending holds whose lease ran out.

-- Wallets with a lot that is due, in pages by ascending id. One whose due lots are held whole is
-- listed too, and loses nothing yet.
CREATE OR REPLACE FUNCTION ledger_due(p_after bigint, p_limit int) RETURNS SETOF bigint
LANGUAGE sql AS $$
    SELECT DISTINCT g.account_id FROM ledger_grant g
    JOIN ledger_account a ON a.id = g.account_id
    WHERE NOT g.exhausted AND g.expires_at <= clock_timestamp() AND a.posted > a.held
      AND g.account_id > p_after
    ORDER BY g.account_id LIMIT p_limit
$$;

-- End one hold whose lease ran out (kinds that no other app ends), the one given or any: captured
-- at its checkpoint's cost, released without one. Answers its id, or NULL when there is none, it
-- was ended or renewed meanwhile, or somebody is at it. One hold a transaction, so that two
-- sweepers never wait for each other's wallets.
CREATE OR REPLACE FUNCTION ledger_sweep_one(p_hold uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE h ledger_hold;
BEGIN
    SELECT * INTO h FROM ledger_hold
        WHERE state = 'open' AND kind <> 'call' AND lease_until < clock_timestamp()
          AND (p_hold IS NULL OR id = p_hold)
        LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF h.id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM ledger__end_hold(
        h, ledger__lock(h.account_id), coalesce((h.checkpoint ->> 'charge')::bigint, 0),
        format('hold:%s:sweep', h.id), jsonb_build_object('swept', true));
    RETURN h.id;
END $$;
