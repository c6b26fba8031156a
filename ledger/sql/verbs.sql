-- The eight verbs. Each is one statement of its caller's: it locks in the fixed order (the
-- idempotency key, the hold, the wallet), looks again under the lock, acts, and keeps its answer
-- under the key. An error undoes all of it, the key included, so a refusal can be tried again.
-- Amounts are microcredits. Every answer carries "balance": {posted, held, available, owed, user}.

-- Credits appear: a lot in the wallet, from sales (purchase, allowance) or promotion.
CREATE OR REPLACE FUNCTION ledger_grant(
    p_account bigint, p_amount bigint, p_kind text, p_priority int, p_expires_at timestamptz,
    p_key text, p_metadata jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('account', p_account, 'amount', p_amount, 'kind', p_kind,
        'priority', p_priority, 'expires_at', extract(epoch FROM p_expires_at));
    v_result jsonb := ledger__replay(p_key, 'grant', v_input);
    v_source bigint;
    v_transfer bigint;
    v_lot bigint;
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    PERFORM ledger__positive(p_amount);
    v_source := ledger__system(CASE p_kind
        WHEN 'purchase' THEN 'sales' WHEN 'allowance' THEN 'sales'
        WHEN 'promotion' THEN 'promotion' END);
    IF v_source IS NULL THEN
        RAISE EXCEPTION 'a grant can''t be of the kind %', p_kind USING ERRCODE = 'FB400';
    END IF;
    PERFORM ledger__lock(p_account);
    v_transfer := ledger__transfer(
        v_source, p_account, p_amount, p_kind, p_key, p_metadata => p_metadata);
    v_lot := ledger__add_lot(p_account, p_amount, p_kind, p_priority, p_expires_at, v_transfer);
    UPDATE ledger_account SET posted = posted + p_amount,
        low_since = CASE WHEN posted + p_amount - held - owed < low_mark THEN low_since END
        WHERE id = p_account;
    PERFORM ledger__settle(p_account, p_key);
    RETURN ledger__record(p_key, 'grant', v_input, jsonb_build_object(
        'grant', v_lot, 'transfer', v_transfer, 'amount', p_amount,
        'balance', ledger__balance(p_account)));
END $$;

-- Place a hold: of p_amount, or of what is available when that is at least p_minimum.
CREATE OR REPLACE FUNCTION ledger__place(
    p_account bigint, p_amount bigint, p_minimum bigint, p_kind text, p_lease interval,
    p_metadata jsonb
) RETURNS ledger_hold LANGUAGE plpgsql AS $$
DECLARE
    a ledger_account;
    h ledger_hold;
    v_held bigint;
BEGIN
    PERFORM ledger__positive(p_amount);
    PERFORM ledger__positive(p_minimum);
    a := ledger__lock(p_account);
    IF a.owed > 0 THEN
        RAISE EXCEPTION 'wallet % owes %', p_account, a.owed
            USING ERRCODE = 'FB403', DETAIL = jsonb_build_object('owed', a.owed)::text;
    END IF;
    v_held := least(p_amount, a.posted - a.held);
    IF v_held < least(p_minimum, p_amount) THEN
        RAISE EXCEPTION 'wallet % has % available, % needed', p_account, a.posted - a.held,
            least(p_minimum, p_amount) USING ERRCODE = 'FB402', DETAIL = jsonb_build_object(
                'available', a.posted - a.held, 'needed', least(p_minimum, p_amount))::text;
    END IF;
    UPDATE ledger_account SET held = held + v_held WHERE id = p_account;
    INSERT INTO ledger_hold (id, account_id, kind, amount, lease_until, metadata, created)
    VALUES (gen_random_uuid(), p_account, p_kind, v_held, clock_timestamp() + p_lease, p_metadata,
            clock_timestamp())
    RETURNING * INTO h;
    RETURN h;
END $$;

-- Reserve: p_amount, or what is available when that is at least p_minimum.
CREATE OR REPLACE FUNCTION ledger_hold(
    p_account bigint, p_amount bigint, p_minimum bigint, p_kind text, p_lease interval,
    p_key text, p_metadata jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('account', p_account, 'amount', p_amount,
        'minimum', p_minimum, 'kind', p_kind) || ledger__request(p_metadata);
    v_result jsonb := ledger__replay(p_key, 'hold', v_input);
    h ledger_hold;
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    h := ledger__place(p_account, p_amount, p_minimum, p_kind, p_lease, p_metadata);
    RETURN ledger__record(p_key, 'hold', v_input, jsonb_build_object(
        'hold', h.id, 'amount', h.amount, 'balance', ledger__balance(p_account)));
END $$;

-- Lock an open hold; an error says how it ended if it has. A paid call's hold is none of the
-- verbs' business: usage_finish ends it, with the call's record, or it would end without one.
CREATE OR REPLACE FUNCTION ledger__lock_hold(p_hold uuid) RETURNS ledger_hold
LANGUAGE plpgsql AS $$
DECLARE h ledger_hold;
BEGIN
    SELECT * INTO h FROM ledger_hold WHERE id = p_hold FOR UPDATE;
    IF h.id IS NULL OR h.kind = 'call' THEN
        RAISE EXCEPTION 'no hold %', p_hold USING ERRCODE = 'FB404';
    END IF;
    IF h.state <> 'open' THEN
        RAISE EXCEPTION 'hold % was % already', p_hold, h.state
            USING ERRCODE = 'FB410', DETAIL = jsonb_build_object('state', h.state)::text;
    END IF;
    RETURN h;
END $$;

-- Take p_amount and end the hold; the rest returns. Past the hold it takes what else is
-- available, and writes off the remainder. Zero takes nothing, as release does.
CREATE OR REPLACE FUNCTION ledger_capture(
    p_hold uuid, p_amount bigint, p_key text, p_metadata jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('hold', p_hold, 'amount', p_amount)
        || ledger__request(p_metadata);
    v_result jsonb := ledger__replay(p_key, 'capture', v_input);
    h ledger_hold;
    e record;
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    IF p_amount IS DISTINCT FROM 0 THEN
        PERFORM ledger__positive(p_amount);
    END IF;
    h := ledger__lock_hold(p_hold);
    e := ledger__end_hold(h, ledger__lock(h.account_id), p_amount, p_key, p_metadata);
    RETURN ledger__record(p_key, 'capture', v_input, jsonb_build_object(
        'hold', h.id, 'amount', e.taken, 'returned', greatest(h.amount - e.taken, 0),
        'written_off', e.written_off, 'transfer', e.transfer,
        'balance', ledger__balance(h.account_id)));
END $$;

-- Give a hold back whole.
CREATE OR REPLACE FUNCTION ledger_release(p_hold uuid, p_key text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('hold', p_hold);
    v_result jsonb := ledger__replay(p_key, 'release', v_input);
    h ledger_hold;
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    h := ledger__lock_hold(p_hold);
    PERFORM ledger__end_hold(h, ledger__lock(h.account_id), 0, p_key);
    RETURN ledger__record(p_key, 'release', v_input, jsonb_build_object(
        'hold', h.id, 'returned', h.amount, 'balance', ledger__balance(h.account_id)));
END $$;

-- Hold and capture in one step: all of p_amount, or an error and nothing.
CREATE OR REPLACE FUNCTION ledger_spend(
    p_account bigint, p_amount bigint, p_key text, p_metadata jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('account', p_account, 'amount', p_amount)
        || ledger__request(p_metadata);
    v_result jsonb := ledger__replay(p_key, 'spend', v_input);
    h ledger_hold;
    e record;
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    h := ledger__place(p_account, p_amount, p_amount, 'spend', interval '1 minute', p_metadata);
    e := ledger__end_hold(h, ledger__lock(p_account), p_amount, p_key, p_metadata);
    RETURN ledger__record(p_key, 'spend', v_input, jsonb_build_object(
        'hold', h.id, 'amount', e.taken, 'transfer', e.transfer,
        'balance', ledger__balance(p_account)));
END $$;

-- Credits back for one capture (or late usage), together at most what it took. They return as
-- lots like the ones they were drawn from, the last drawn first; a lot whose date has passed or
-- is near comes back with 30 days, so that a refund is never worthless.
CREATE OR REPLACE FUNCTION ledger_refund(
    p_transfer bigint, p_amount bigint, p_key text, p_metadata jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('transfer', p_transfer, 'amount', p_amount)
        || ledger__request(p_metadata);
    v_result jsonb := ledger__replay(p_key, 'refund', v_input);
    t ledger_transfer;
    v_refunded bigint;
    v_skip bigint;
    v_left bigint := p_amount;
    v_part bigint;
    v_transfer bigint;
    lot record;
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    PERFORM ledger__positive(p_amount);
    SELECT * INTO t FROM ledger_transfer WHERE id = p_transfer;
    IF t.id IS NULL OR t.kind NOT IN ('capture', 'adjustment') THEN
        RAISE EXCEPTION 'no capture %', p_transfer USING ERRCODE = 'FB404';
    END IF;
    PERFORM ledger__lock(t.debit_id);
    SELECT coalesce(sum(amount), 0) INTO v_refunded
        FROM ledger_transfer WHERE reverses_id = t.id AND kind = 'refund';
    IF p_amount > t.amount - v_refunded THEN
        RAISE EXCEPTION 'transfer % has % left to refund', t.id, t.amount - v_refunded
            USING ERRCODE = 'FB416',
                  DETAIL = jsonb_build_object('refundable', t.amount - v_refunded)::text;
    END IF;
    v_transfer := ledger__transfer(
        t.credit_id, t.debit_id, p_amount, 'refund', p_key, t.id, t.hold_id, p_metadata);
    v_skip := v_refunded;
    FOR lot IN
        SELECT g.priority, g.expires_at, (d.pair ->> 1)::bigint AS amount
        FROM jsonb_array_elements(t.metadata -> 'lots') WITH ORDINALITY AS d (pair, place)
        JOIN ledger_grant g ON g.id = (d.pair ->> 0)::bigint
        ORDER BY d.place DESC
    LOOP
        v_part := greatest(lot.amount - v_skip, 0);  -- earlier refunds gave the last drawn back
        v_skip := greatest(v_skip - lot.amount, 0);
        v_part := least(v_part, v_left);
        CONTINUE WHEN v_part = 0;
        PERFORM ledger__add_lot(
            t.debit_id, v_part, 'refund', lot.priority,
            CASE WHEN lot.expires_at IS NOT NULL
                 THEN greatest(lot.expires_at, clock_timestamp() + interval '30 days') END,
            v_transfer);
        v_left := v_left - v_part;
    END LOOP;
    UPDATE ledger_account SET posted = posted + p_amount,
        low_since = CASE WHEN posted + p_amount - held - owed < low_mark THEN low_since END
        WHERE id = t.debit_id;
    PERFORM ledger__settle(t.debit_id, p_key);
    RETURN ledger__record(p_key, 'refund', v_input, jsonb_build_object(
        'transfer', v_transfer, 'amount', p_amount, 'balance', ledger__balance(t.debit_id)));
END $$;

-- Undo p_amount of a grant: from its own lot, then against what of it expired unused, then from
-- whatever the wallet has available. What is left was spent: it becomes a receivable, and freezes
-- the wallet until it is settled.
CREATE OR REPLACE FUNCTION ledger_revoke(
    p_grant bigint, p_amount bigint, p_key text, p_metadata jsonb
) RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
    v_input jsonb := jsonb_build_object('grant', p_grant, 'amount', p_amount);
    v_result jsonb := ledger__replay(p_key, 'revoke', v_input);
    g ledger_grant;
    t ledger_transfer;
    a ledger_account;
    v_lot bigint;
    v_lapsed bigint;
    v_other bigint;
    v_owed bigint;
    v_lots jsonb := '[]';
BEGIN
    IF v_result IS NOT NULL THEN
        RETURN v_result;
    END IF;
    PERFORM ledger__positive(p_amount);
    SELECT * INTO g FROM ledger_grant WHERE id = p_grant;
    IF g.id IS NULL OR g.kind = 'refund' THEN
        RAISE EXCEPTION 'no grant %', p_grant USING ERRCODE = 'FB404';
    END IF;
    a := ledger__lock(g.account_id);
    SELECT * INTO g FROM ledger_grant WHERE id = p_grant;  -- again, under the lock
    SELECT * INTO t FROM ledger_transfer WHERE id = g.transfer_id;
    IF p_amount > g.amount - g.revoked THEN
        RAISE EXCEPTION 'grant % has % left to revoke', g.id, g.amount - g.revoked
            USING ERRCODE = 'FB416',
                  DETAIL = jsonb_build_object('revocable', g.amount - g.revoked)::text;
    END IF;
    v_lot := least(p_amount, g.remaining, a.posted - a.held);
    v_lapsed := least(p_amount - v_lot, g.lapsed);
    v_other := least(p_amount - v_lot - v_lapsed, a.posted - a.held - v_lot);
    v_owed := p_amount - v_lot - v_lapsed - v_other;
    UPDATE ledger_grant SET remaining = remaining - v_lot, lapsed = lapsed - v_lapsed,
        revoked = revoked + p_amount WHERE id = g.id;
    IF v_lot > 0 THEN
        v_lots := jsonb_build_array(jsonb_build_array(g.id, v_lot));
    END IF;
    v_lots := v_lots || ledger__draw(a.id, v_other);
    UPDATE ledger_account SET posted = posted - v_lot - v_other, owed = owed + v_owed
        WHERE id = a.id;
    IF v_lot + v_other > 0 THEN
        PERFORM ledger__transfer(
            a.id, t.debit_id, v_lot + v_other, 'revoke', p_key, t.id,
            p_metadata => p_metadata || jsonb_build_object('lots', v_lots));
    END IF;
    IF v_lapsed > 0 THEN  -- it left the wallet when it expired; from there it goes back
        PERFORM ledger__transfer(
            ledger__system('expired'), t.debit_id, v_lapsed, 'revoke', p_key || ':lapsed', t.id,
            p_metadata => p_metadata);
    END IF;
    IF v_owed > 0 THEN
        PERFORM ledger__transfer(
            ledger_account_of(a.owner_id, 'receivable'), t.debit_id, v_owed,
            'receivable', p_key || ':receivable', t.id, p_metadata => p_metadata);
    END IF;
    RETURN ledger__record(p_key, 'revoke', v_input, jsonb_build_object(
        'grant', g.id, 'taken', v_lot + v_other, 'lapsed', v_lapsed, 'receivable', v_owed,
        'balance', ledger__balance(a.id)));
END $$;

-- The unspent, unheld part of every due lot of a wallet leaves. What a hold keeps back leaves
-- after the hold has ended, at the next look: each part has a key of its own.
CREATE OR REPLACE FUNCTION ledger_expire(p_account bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE v_before bigint; v_after bigint;
BEGIN
    SELECT posted INTO v_before FROM ledger_account WHERE id = p_account FOR NO KEY UPDATE;
    SELECT posted INTO v_after FROM ledger__lock(p_account);
    RETURN jsonb_build_object(
        'amount', v_before - v_after, 'balance', ledger__balance(p_account));
END $$;
