-- finish: the end of a paid call, in one statement and one commit, exactly once. Captures (or
-- releases, at no cost), draws the lots, records the call, counts the month.

-- Add to a month's counters; the caller holds the wallet's lock, so the row is not contended.
CREATE OR REPLACE FUNCTION usage__count(
    p_user bigint, p_month text, p_key uuid, p_requests bigint, p_input bigint, p_output bigint,
    p_spent bigint
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE usage_monthlyusage
        SET requests = requests + p_requests, input_tokens = input_tokens + p_input,
            output_tokens = output_tokens + p_output, spent = spent + p_spent
        WHERE user_id = p_user AND month = p_month
          AND coalesce(api_key_id, '00000000-0000-0000-0000-000000000000'::uuid)
            = coalesce(p_key, '00000000-0000-0000-0000-000000000000'::uuid);
    IF NOT FOUND THEN
        INSERT INTO usage_monthlyusage
            (user_id, month, api_key_id, requests, input_tokens, output_tokens, spent)
        VALUES (p_user, p_month, p_key, p_requests, p_input, p_output, p_spent);
    END IF;
END $$;

-- A call's tokens against the plan's tokens a minute, in the wallet's pace (GCRA, as usage_begin
-- reads it): they count from the moment the call began. The caller holds the wallet's lock.
CREATE OR REPLACE FUNCTION usage__pace(h ledger_hold, p_tokens bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger_account
        SET token_tat = greatest(token_tat, h.created) + interval '1 microsecond'
            * ceil(p_tokens * 60000000.0 / (h.metadata ->> 'per_minute')::bigint)
        WHERE id = h.account_id AND p_tokens > 0;
END $$;

-- Whether a swept call's Idempotency-Key was freed and has gone to another call.
CREATE OR REPLACE FUNCTION usage__replaced(h ledger_hold) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN h.metadata ? 'keyed' AND h.created > clock_timestamp() - interval '24 hours'
        AND NOT EXISTS (SELECT FROM usage_callkey
            WHERE user_id = (h.metadata ->> 'user')::bigint AND call = h.id);
END $$;

-- Usage that arrives after the sweeper has ended the call: the difference is posted, at most what
-- is available; the rest is written off, and so is all of it when another call has taken this one's
-- place: nobody pays twice for a key. What the sweeper took too much goes back.
CREATE OR REPLACE FUNCTION usage__late(h ledger_hold, c usage_call, p_charge bigint)
RETURNS usage_call LANGUAGE plpgsql AS $$
DECLARE
    a ledger_account := ledger__lock(h.account_id);
    v_key text := format('call:%s:late', h.id);
    v_more bigint := p_charge - c.spent - c.written_off;
    v_part bigint;
    v_capture bigint;
    v_left bigint;
BEGIN
    IF p_charge IS NULL OR p_charge < 0 THEN
        RAISE EXCEPTION 'call % can''t cost %', h.id, p_charge USING ERRCODE = 'FB400';
    END IF;
    IF v_more > 0 THEN
        v_part := least(v_more, CASE WHEN a.owed > 0 OR usage__replaced(h) THEN 0
            ELSE a.posted - a.held END);
        IF v_part > 0 THEN
            UPDATE ledger_account SET posted = posted - v_part,
                low_since = ledger__low(low_since, low_mark, posted - v_part - held)
                WHERE id = a.id;
            PERFORM ledger__transfer(
                a.id, ledger__system('revenue'), v_part, 'adjustment', v_key, p_hold => h.id,
                p_metadata => jsonb_build_object('call', h.id, 'lots',
                    ledger__draw(a.id, v_part)));
        END IF;
        IF v_more > v_part THEN
            PERFORM ledger__transfer(
                ledger__system('write_off'), ledger__system('revenue'), v_more - v_part,
                'write_off', v_key || ':write_off', p_hold => h.id,
                p_metadata => jsonb_build_object('call', h.id, 'account', a.id));
        END IF;
        c.spent := c.spent + v_part;
        c.written_off := c.written_off + v_more - v_part;
    ELSIF v_more < 0 THEN
        v_part := least(-v_more, c.written_off);
        IF v_part > 0 THEN
            PERFORM ledger__transfer(
                ledger__system('revenue'), ledger__system('write_off'), v_part, 'write_off',
                v_key || ':write_off', p_hold => h.id,
                p_metadata => jsonb_build_object('call', h.id, 'account', a.id));
            c.written_off := c.written_off - v_part;
        END IF;
        -- The operator may have refunded some of the capture meanwhile; nobody gets it back twice.
        SELECT t.id, t.amount - coalesce(sum(r.amount), 0) INTO v_capture, v_left
            FROM ledger_transfer t
            LEFT JOIN ledger_transfer r ON r.reverses_id = t.id AND r.kind = 'refund'
            WHERE t.key = format('call:%s', h.id) GROUP BY t.id;
        v_part := least(-v_more - v_part, coalesce(v_left, 0));
        IF v_part > 0 THEN
            PERFORM ledger_refund(v_capture, v_part, v_key, jsonb_build_object('call', h.id));
            c.spent := c.spent - v_part;
        END IF;
    END IF;
    RETURN c;
END $$;

-- p_provider is who answered, where that is not the one that begin expected.
-- p_charge is what the call costs the user, p_cost what it costs the operator (microcredits).
-- p_usage: {"input", "cached", "cache_write", "cache_write_1h", "output", "reasoning"}, tokens;
-- input counts the cached ones too, output those of reasoning, and what is missing is none. Called
-- again for an ended call it answers the first result, but for a swept one, whose usage it sets
-- right. crossed: this has made the wallet low (ledger__low); NULL is no.
CREATE OR REPLACE FUNCTION usage_finish(
    p_call uuid, p_status text, p_charge bigint, p_cost bigint, p_usage jsonb,
    p_estimated boolean, p_error text, p_first_event_ms int, p_provider text DEFAULT NULL,
    OUT spent bigint, OUT returned bigint, OUT written_off bigint, OUT repeated boolean,
    OUT owner bigint, OUT crossed boolean
) LANGUAGE plpgsql AS $$
DECLARE
    h ledger_hold;
    c usage_call;
    e record;
    m jsonb;
    v_month text;
    v_charge bigint;
    v_user bigint;
    v_key uuid;
    u jsonb := '{"input": 0, "cached": 0, "cache_write": 0, "cache_write_1h": 0, "output": 0,
        "reasoning": 0}';
    v_before usage_call;
BEGIN
    SELECT * INTO h FROM ledger_hold WHERE id = p_call FOR UPDATE;
    IF h.id IS NULL OR h.kind <> 'call' THEN
        RAISE EXCEPTION 'no call %', p_call USING ERRCODE = 'FB404';
    END IF;
    m := h.metadata;
    v_month := to_char(h.created AT TIME ZONE 'UTC', 'YYYY-MM');  -- the period it began in
    v_charge := CASE WHEN (m ->> 'quota')::boolean THEN 0 ELSE p_charge END;
    IF h.state <> 'open' THEN
        SELECT * INTO c FROM usage_call WHERE id = p_call;
        IF c.id IS NULL THEN
            RAISE EXCEPTION 'call % was % without a record', p_call, h.state
                USING ERRCODE = 'FB410', DETAIL = jsonb_build_object('state', h.state)::text;
        END IF;
    END IF;
    repeated := c.id IS NOT NULL AND (c.status <> 'swept' OR p_status = 'swept');
    IF NOT repeated THEN
        v_before := c;
        u := u || jsonb_strip_nulls(coalesce(nullif(p_usage, 'null'), '{}'));
        -- Who was deleted while the call was open is gone from its record, as from older ones.
        SELECT id INTO v_user FROM accounts_user WHERE id = (m ->> 'user')::bigint;
        SELECT id INTO v_key FROM accounts_apikey
            WHERE id = (m ->> 'key')::uuid AND user_id = v_user;
        IF c.id IS NULL THEN
            e := ledger__end_hold(h, ledger__lock(h.account_id), v_charge, format('call:%s', h.id),
                jsonb_build_object('call', h.id, 'model', m ->> 'model'));
            c.spent := e.taken;
            c.written_off := e.written_off;
            crossed := e.crossed;
        ELSE
            c := usage__late(h, c, v_charge);
            DELETE FROM usage_call WHERE id = p_call;
        END IF;
        INSERT INTO usage_call (
            id, user_id, api_key_id, model, provider, protocol, price_id, status, streamed,
            by_quota, held, spent, written_off, cost, estimated, input_tokens, cached_tokens,
            cache_write_tokens, cache_write_1h_tokens, output_tokens, reasoning_tokens, error,
            first_event_ms, started, finished)
        VALUES (
            h.id, v_user, v_key, m ->> 'model', coalesce(p_provider, m ->> 'provider'),
            m ->> 'protocol',
            (m ->> 'price')::bigint, p_status, (m ->> 'stream')::boolean, (m ->> 'quota')::boolean,
            h.amount, c.spent, c.written_off, coalesce(p_cost, 0), p_estimated,
            (u ->> 'input')::bigint, (u ->> 'cached')::bigint, (u ->> 'cache_write')::bigint,
            (u ->> 'cache_write_1h')::bigint, (u ->> 'output')::bigint,
            (u ->> 'reasoning')::bigint,
            left(coalesce(p_error, ''), 200), p_first_event_ms, h.created, clock_timestamp());
        IF v_user IS NOT NULL THEN
            PERFORM usage__count(
                v_user, v_month, v_key, CASE WHEN p_status = 'failed' THEN -1 ELSE 0 END,
                (u ->> 'input')::bigint - coalesce(v_before.input_tokens, 0),
                (u ->> 'output')::bigint - coalesce(v_before.output_tokens, 0),
                c.spent - coalesce(v_before.spent, 0));
        END IF;
        IF m ? 'per_minute' THEN
            PERFORM usage__pace(h, (u ->> 'input')::bigint + (u ->> 'output')::bigint
                - coalesce(v_before.input_tokens + v_before.output_tokens, 0));
        END IF;
    END IF;
    spent := c.spent;
    returned := greatest(h.amount - c.spent, 0);
    written_off := c.written_off;
    owner := (m ->> 'user')::bigint;
END $$;

-- Renew the leases of a process's open calls and keep what is known of their cost, in one
-- statement. A row that a finish holds at this moment is left to it.
CREATE OR REPLACE FUNCTION usage_checkpoint(p_calls uuid[], p_checkpoints jsonb, p_lease interval)
RETURNS bigint LANGUAGE sql AS $$
    WITH mine AS (
        SELECT h.id, p_checkpoints -> (n.place - 1)::int AS checkpoint
        FROM unnest(p_calls) WITH ORDINALITY AS n (id, place)
        JOIN ledger_hold h ON h.id = n.id
        WHERE h.state = 'open'
        FOR NO KEY UPDATE OF h SKIP LOCKED
    ), renewed AS (
        UPDATE ledger_hold h
            SET lease_until = clock_timestamp() + p_lease,
                checkpoint = coalesce(nullif(mine.checkpoint, 'null'), h.checkpoint)
            FROM mine WHERE h.id = mine.id
            RETURNING h.id
    )
    SELECT count(*) FROM renewed
$$;

-- End one call whose lease ran out, the one given or any: paid to its last checkpoint, released
-- without one. Answers its id, or NULL as ledger_sweep_one does. One call a transaction, for the
-- same reason. A job's calls are not among them.
CREATE OR REPLACE FUNCTION usage_sweep_one(p_call uuid DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE h ledger_hold;
BEGIN
    SELECT * INTO h FROM ledger_hold
        WHERE state = 'open' AND kind = 'call' AND lease_until < clock_timestamp()
          AND (p_call IS NULL OR id = p_call) AND NOT metadata ? 'job'
        LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF h.id IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM usage_finish(
        h.id, 'swept', coalesce((h.checkpoint ->> 'charge')::bigint, 0),
        (h.checkpoint ->> 'cost')::bigint, h.checkpoint -> 'usage', true, 'the process ended',
        NULL);
    RETURN h.id;
END $$;
