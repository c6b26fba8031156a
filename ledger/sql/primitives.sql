-- The steps the verbs are made of. Each but the first few presumes that the caller holds the
-- wallet's row lock (ledger__lock); none commits, none waits on anything but that lock.
-- clock_timestamp(), not now(): a transaction that waited for the lock must see the time after it.

-- The ids of the accounts that belong to nobody; they are made by migration and never change.
CREATE OR REPLACE FUNCTION ledger__system(p_kind text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE p_kind
        WHEN 'sales' THEN 1 WHEN 'promotion' THEN 2 WHEN 'revenue' THEN 3
        WHEN 'payouts' THEN 4 WHEN 'write_off' THEN 5 WHEN 'expired' THEN 6 END::bigint
$$;

-- The id of an owner's account of a kind, made on first use. What wallets of deleted users owe is
-- kept in one account that has no owner.
CREATE OR REPLACE FUNCTION ledger_account_of(p_owner bigint, p_kind text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE v_id bigint;
BEGIN
    IF p_owner IS NULL THEN
        IF p_kind <> 'receivable' THEN
            RAISE EXCEPTION 'nobody has no %', p_kind USING ERRCODE = 'FB404';
        END IF;
        SELECT min(id) INTO v_id FROM ledger_account WHERE owner_id IS NULL AND kind = p_kind;
    ELSE
        SELECT id INTO v_id FROM ledger_account WHERE owner_id = p_owner AND kind = p_kind;
    END IF;
    IF v_id IS NULL THEN
        INSERT INTO ledger_account (owner_id, kind) VALUES (p_owner, p_kind)
            ON CONFLICT (owner_id, kind) DO NOTHING RETURNING id INTO v_id;
        IF v_id IS NULL THEN  -- another transaction made it meanwhile
            SELECT id INTO v_id FROM ledger_account WHERE owner_id = p_owner AND kind = p_kind;
        END IF;
    END IF;
    RETURN v_id;
END $$;

CREATE OR REPLACE FUNCTION ledger__transfer(
    p_debit bigint, p_credit bigint, p_amount bigint, p_kind text, p_key text,
    p_reverses bigint DEFAULT NULL, p_hold uuid DEFAULT NULL, p_metadata jsonb DEFAULT '{}'
) RETURNS bigint LANGUAGE sql AS $$
    INSERT INTO ledger_transfer
        (debit_id, credit_id, amount, kind, key, reverses_id, hold_id, metadata, created)
    VALUES
        (p_debit, p_credit, p_amount, p_kind, p_key, p_reverses, p_hold, p_metadata,
         clock_timestamp())
    RETURNING id
$$;

-- Since when a wallet is low: less is available than its mark. It becomes low when credits are
-- spent, or asked for in vain, and is no longer when it is lifted. What expires or is revoked makes
-- none low: nobody is to pay by card, or to get a mail, for what time or a refund has done. The next
-- call looks at it again.
CREATE OR REPLACE FUNCTION ledger__low(p_since timestamptz, p_mark bigint, p_available bigint)
RETURNS timestamptz LANGUAGE sql AS $$
    SELECT CASE WHEN p_available < p_mark THEN coalesce(p_since, clock_timestamp()) END
$$;

-- What leaves the wallet because its lots are due: of each due lot, the part that no open hold
-- would draw. Holds are taken to draw lots in the order captures do.
CREATE OR REPLACE FUNCTION ledger__expire_due(p_account bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_held bigint;
    v_part bigint;
    v_total bigint := 0;
    lot record;
BEGIN
    SELECT held INTO v_held FROM ledger_account WHERE id = p_account;
    FOR lot IN
        SELECT id, remaining, expires_at FROM ledger_grant
        WHERE account_id = p_account AND NOT exhausted
        ORDER BY priority, expires_at NULLS LAST, id
    LOOP
        v_part := least(lot.remaining, v_held);  -- held
        v_held := v_held - v_part;
        v_part := lot.remaining - v_part;        -- not held
        IF lot.expires_at <= clock_timestamp() AND v_part > 0 THEN
            UPDATE ledger_grant SET remaining = remaining - v_part, lapsed = lapsed + v_part
                WHERE id = lot.id;
            PERFORM ledger__transfer(
                p_account, ledger__system('expired'), v_part, 'expire',
                format('grant:%s:expire:%s', lot.id, lot.remaining),
                p_metadata => jsonb_build_object('lots', jsonb_build_array(
                    jsonb_build_array(lot.id, v_part))));
            v_total := v_total + v_part;
        END IF;
    END LOOP;
    IF v_total > 0 THEN
        UPDATE ledger_account SET posted = posted - v_total WHERE id = p_account;
    END IF;
    RETURN v_total;
END $$;

-- Lock a wallet and look again: lots that are due leave before anything else is decided.
CREATE OR REPLACE FUNCTION ledger__lock(p_account bigint) RETURNS ledger_account
LANGUAGE plpgsql AS $$
DECLARE a ledger_account;
BEGIN
    SELECT * INTO a FROM ledger_account WHERE id = p_account FOR NO KEY UPDATE;
    IF a.id IS NULL OR a.kind <> 'wallet' THEN
        RAISE EXCEPTION 'no wallet %', p_account USING ERRCODE = 'FB404';
    END IF;
    IF EXISTS (SELECT FROM ledger_grant WHERE account_id = p_account AND NOT exhausted
               AND expires_at <= clock_timestamp()) THEN
        IF ledger__expire_due(p_account) > 0 THEN
            SELECT * INTO a FROM ledger_account WHERE id = p_account;
        END IF;
    END IF;
    RETURN a;
END $$;

-- Draw p_amount from the lots; answers [[lot, amount], …] in the order drawn.
CREATE OR REPLACE FUNCTION ledger__draw(p_account bigint, p_amount bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_left bigint := p_amount;
    v_take bigint;
    v_drawn jsonb := '[]';
    lot record;
BEGIN
    IF v_left = 0 THEN
        RETURN v_drawn;
    END IF;
    FOR lot IN
        SELECT id, remaining FROM ledger_grant
        WHERE account_id = p_account AND NOT exhausted
        ORDER BY priority, expires_at NULLS LAST, id
    LOOP
        v_take := least(lot.remaining, v_left);
        UPDATE ledger_grant SET remaining = remaining - v_take WHERE id = lot.id;
        v_drawn := v_drawn || jsonb_build_array(jsonb_build_array(lot.id, v_take));
        v_left := v_left - v_take;
        IF v_left = 0 THEN
            RETURN v_drawn;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'the lots of wallet % are % short', p_account, v_left USING ERRCODE = 'FB500';
END $$;

-- A lot that comes into a closed wallet (a late refund, a payment that crossed with its owner's
-- leaving) is due at once. In plpgsql, so that the column need not be there when this is installed.
CREATE OR REPLACE FUNCTION ledger__add_lot(
    p_account bigint, p_amount bigint, p_kind text, p_priority int, p_expires_at timestamptz,
    p_transfer bigint
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE v_lot bigint;
BEGIN
    INSERT INTO ledger_grant
        (account_id, amount, remaining, kind, priority, expires_at, transfer_id, created)
    SELECT p_account, p_amount, p_amount, p_kind, p_priority, least(p_expires_at, closed_at),
           p_transfer, clock_timestamp()
        FROM ledger_account WHERE id = p_account
    RETURNING id INTO v_lot;
    RETURN v_lot;
END $$;

-- A wallet that owes pays from whatever it has available, at once. The receivable shrinks.
CREATE OR REPLACE FUNCTION ledger__settle(p_account bigint, p_key text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    a ledger_account;
    v_pay bigint;
BEGIN
    SELECT * INTO a FROM ledger_account WHERE id = p_account;
    v_pay := least(a.owed, a.posted - a.held);
    IF v_pay = 0 THEN
        RETURN 0;
    END IF;
    PERFORM ledger__transfer(
        p_account, ledger_account_of(a.owner_id, 'receivable'), v_pay, 'settle', p_key || ':settle',
        p_metadata => jsonb_build_object('lots', ledger__draw(p_account, v_pay)));
    UPDATE ledger_account SET posted = posted - v_pay, owed = owed - v_pay WHERE id = p_account;
    RETURN v_pay;
END $$;

-- Whether a key was used: its stored result, NULL for a new key, an error for another input.
-- Takes the key's lock first, so that the second of two at once waits for the first's commit.
CREATE OR REPLACE FUNCTION ledger__replay(p_key text, p_verb text, p_input jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE r ledger_idempotencykey;
BEGIN
    IF p_key IS NULL OR p_key = '' OR length(p_key) > 200 THEN
        RAISE EXCEPTION 'a key of 1 to 200 characters is needed' USING ERRCODE = 'FB400';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended(p_key, 0));
    SELECT * INTO r FROM ledger_idempotencykey WHERE key = p_key;
    IF r.key IS NULL THEN
        RETURN NULL;
    END IF;
    IF r.verb <> p_verb OR r.input <> p_input THEN
        RAISE EXCEPTION 'key % was used for % with another input', p_key, r.verb
            USING ERRCODE = 'FB409';
    END IF;
    RETURN r.result;
END $$;

-- What a caller says besides of what was asked of it: a digest in the metadata's "request". It
-- belongs to the key's input, so that the key stands for the whole of what was asked.
CREATE OR REPLACE FUNCTION ledger__request(p_metadata jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN p_metadata ? 'request'
        THEN jsonb_build_object('request', p_metadata -> 'request') ELSE '{}' END
$$;

CREATE OR REPLACE FUNCTION ledger__record(
    p_key text, p_verb text, p_input jsonb, p_result jsonb
) RETURNS jsonb LANGUAGE sql AS $$
    INSERT INTO ledger_idempotencykey (key, verb, input, result, created)
    VALUES (p_key, p_verb, p_input, p_result, clock_timestamp())
    RETURNING result
$$;

-- What a verb answers besides its own: the wallet as the verb leaves it.
CREATE OR REPLACE FUNCTION ledger__balance(p_account bigint) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_build_object(
        'posted', posted, 'held', held, 'available', posted - held, 'owed', owed,
        'user', owner_id)
    FROM ledger_account WHERE id = p_account
$$;

CREATE OR REPLACE FUNCTION ledger__positive(p_amount bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF p_amount IS NULL OR p_amount <= 0 OR p_amount > 9007199254740992 THEN
        RAISE EXCEPTION 'an amount must be between 1 and 2^53 microcredits' USING ERRCODE = 'FB400';
    END IF;
END $$;

-- End an open hold, taking p_amount: from the hold, then from what else is available; what the
-- wallet can't cover is written off. Answers (taken, written off, transfer, whether the wallet has
-- become low; NULL is no).
-- The caller holds the hold's lock, then the wallet's.
CREATE OR REPLACE FUNCTION ledger__end_hold(
    h ledger_hold, a ledger_account, p_amount bigint, p_key text, p_metadata jsonb DEFAULT '{}',
    OUT taken bigint, OUT written_off bigint, OUT transfer bigint, OUT crossed boolean
) LANGUAGE plpgsql AS $$
BEGIN
    IF h.state <> 'open' THEN
        RAISE EXCEPTION 'hold % was % already', h.id, h.state
            USING ERRCODE = 'FB410', DETAIL = jsonb_build_object('state', h.state)::text;
    END IF;
    IF p_amount IS NULL OR p_amount < 0 THEN  -- least() would read NULL as "all there is"
        RAISE EXCEPTION 'hold % can''t be ended at %', h.id, p_amount USING ERRCODE = 'FB400';
    END IF;
    -- A frozen wallet's surplus belongs to the receivable; the hold was placed before it froze.
    taken := least(p_amount, h.amount + CASE WHEN a.owed > 0 THEN 0 ELSE a.posted - a.held END);
    written_off := p_amount - taken;
    UPDATE ledger_account SET posted = posted - taken, held = held - h.amount,
        low_since = ledger__low(low_since, low_mark, posted - taken - (held - h.amount))
        WHERE id = a.id;
    crossed := a.low_since IS NULL AND a.posted - taken - (a.held - h.amount) < a.low_mark;
    UPDATE ledger_hold
        SET state = CASE WHEN taken > 0 THEN 'captured' ELSE 'released' END,
            captured = taken, ended = clock_timestamp()
        WHERE id = h.id;
    IF taken > 0 THEN
        transfer := ledger__transfer(
            a.id, ledger__system('revenue'), taken, 'capture', p_key, p_hold => h.id,
            p_metadata => p_metadata || jsonb_build_object('lots', ledger__draw(a.id, taken)));
    END IF;
    IF written_off > 0 THEN
        PERFORM ledger__transfer(
            ledger__system('write_off'), ledger__system('revenue'), written_off, 'write_off',
            p_key || ':write_off', p_hold => h.id,
            p_metadata => p_metadata || jsonb_build_object('account', a.id));
    END IF;
    IF a.owed > 0 THEN
        PERFORM ledger__settle(a.id, p_key);
    END IF;
END $$;
