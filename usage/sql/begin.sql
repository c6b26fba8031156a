-- begin: everything a paid call needs before it may start, in one statement and one commit.
-- Finds the key or the sign-in, its user, plan and wallet; locks the wallet; checks, in this order,
-- key, user, plan, model, idempotency key, rate, open calls, quota, money, tokens a minute; then
-- holds, and counts the request. A refusal is an outcome, not an error, and changes nothing.
--
-- Who calls is one of: p_digest, an API key's SHA-256; p_token or p_session, somebody signed in
-- (accounts_signed_in); p_user, somebody the caller knows already.
--
-- Amounts are microcredits. p_input_units is the worst case of the input, tokens times rate, so
-- in millionths of a microcredit; p_output_rate is microcredits per million tokens of one choice.
-- The hold is ceil((input_units + choices * output_tokens * output_rate) / 1,000,000).
--
-- p_key is the caller's Idempotency-Key and p_request the SHA-256 of what is asked with it; without
-- a key no more is done. earlier is the call that has the key: of the refusals for it, and of an
-- attempt that is made again under its own id because its answer was lost.
--
-- A call whose metadata names a job waits in a queue: it neither has to keep to the limits of a minute
-- and of open calls nor counts against them, and its hold is the job's to end.
--
-- limits is what usage__limits says, where the plan has any. detail of an outcome that is ok is the
-- id of the user.

-- What the answer tells of a plan's limits: requests a minute, and by how many microseconds they
-- are ahead of an even pace; open calls, and how many there are; tokens a minute, and how many are
-- left. NULL for a plan without these.
CREATE OR REPLACE FUNCTION usage__limits(
    p_requests bigint, p_ahead interval, p_calls bigint, p_open bigint, p_tokens bigint,
    p_left bigint
) RETURNS bigint[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN coalesce(p_requests, p_calls, p_tokens) IS NOT NULL THEN
        ARRAY[p_requests, greatest((date_part('epoch', p_ahead) * 1000000)::bigint, 0), p_calls,
            p_open, p_tokens, p_left]
        END
$$;

CREATE OR REPLACE FUNCTION usage_begin(
    p_call uuid, p_digest bytea, p_user bigint, p_token text, p_session text,
    p_model text, p_metadata jsonb,
    p_input_tokens bigint, p_input_units bigint, p_output_rate bigint, p_output_tokens bigint,
    p_exact boolean, p_floor bigint, p_choices int, p_lease interval,
    p_key text DEFAULT NULL, p_request bytea DEFAULT NULL,
    OUT outcome text, OUT held bigint, OUT output_tokens bigint, OUT available bigint,
    OUT needed bigint, OUT affordable bigint, OUT detail bigint, OUT limits bigint[],
    OUT earlier uuid
) LANGUAGE plpgsql AS $$
DECLARE
    v_job boolean := p_metadata ? 'job';
    v_now timestamptz;
    v_month text;
    k accounts_apikey;
    u record;
    p billing_plan;
    a ledger_account;
    v_wallet bigint;
    v_open bigint := 0;
    v_key_held bigint := 0;
    v_reserved bigint := 0;
    v_requests bigint := 0;
    v_tokens bigint := 0;
    v_key_spent bigint := 0;
    v_budget bigint;
    v_quota boolean := false;
    v_least bigint;
    v_tat timestamptz;
    v_gap interval;
    v_wanted bigint;
    v_ahead bigint;
    v_left bigint;
    r record;
BEGIN
    IF p_digest IS NOT NULL THEN
        SELECT * INTO k FROM accounts_apikey WHERE digest = p_digest;
        IF k.id IS NULL OR k.revoked_at IS NOT NULL OR k.expires_at <= clock_timestamp() THEN
            outcome := 'invalid_key';
            RETURN;
        END IF;
        IF NOT 'ai' = ANY (k.scopes) THEN
            outcome := 'scope';
            RETURN;
        END IF;
    ELSIF p_user IS NULL THEN
        p_user := accounts_signed_in(p_token, p_session);
        IF p_user IS NULL THEN
            outcome := 'signed_out';
            RETURN;
        END IF;
    END IF;
    SELECT s.id, s.is_active, e.plan_id, e.status, e.grace_until, w.id AS wallet INTO u
        FROM accounts_user s
        LEFT JOIN billing_entitlement e ON e.user_id = s.id
        LEFT JOIN ledger_account w ON w.owner_id = s.id AND w.kind = 'wallet'
        WHERE s.id = coalesce(k.user_id, p_user);
    IF u.id IS NULL OR NOT u.is_active THEN
        outcome := 'invalid_key';
        RETURN;
    END IF;
    IF u.plan_id IS NULL THEN
        SELECT * INTO p FROM billing_plan WHERE is_default;
    ELSE
        SELECT * INTO p FROM billing_plan WHERE id = u.plan_id;
    END IF;
    IF p.id IS NULL OR u.status IN ('canceled', 'inactive')
       OR (u.status = 'past_due' AND u.grace_until <= clock_timestamp()) THEN
        outcome := 'plan_inactive';
        RETURN;
    END IF;
    IF cardinality(p.allowed_models) > 0 AND NOT p_model = ANY (p.allowed_models) THEN
        outcome := 'model_refused';
        RETURN;
    END IF;
    output_tokens := p_output_tokens;
    IF output_tokens > p.max_output_tokens THEN
        IF p_exact THEN
            outcome := 'output_bound';
            detail := p.max_output_tokens;
            RETURN;
        END IF;
        output_tokens := p.max_output_tokens;
    END IF;
    IF v_job THEN
        p.requests_per_minute := NULL;
        p.open_calls := NULL;
        p.tokens_per_minute := NULL;
    END IF;
    IF p_input_tokens + p_choices * output_tokens > p.tokens_per_minute THEN
        -- More than a whole minute has: waiting would not help.
        affordable := (p.tokens_per_minute - p_input_tokens) / p_choices;
        IF p_exact OR affordable < least(p_floor, output_tokens) THEN
            outcome := 'token_bound';
            needed := p_input_tokens
                + p_choices * CASE WHEN p_exact THEN output_tokens ELSE p_floor END;
            detail := p.tokens_per_minute;
            RETURN;
        END IF;
        output_tokens := affordable;
    END IF;

    v_wallet := coalesce(u.wallet, ledger_account_of(u.id, 'wallet'));
    a := ledger__lock(v_wallet);
    v_now := clock_timestamp();
    v_month := to_char(v_now AT TIME ZONE 'UTC', 'YYYY-MM');
    available := a.posted - a.held;
    IF p_key IS NOT NULL THEN
        SELECT i.call, i.request = p_request AS same, i.output_tokens, h.amount, h.state,
               c.status IN ('failed', 'swept') AND c.spent + c.written_off = 0
                   AND c.input_tokens + c.output_tokens = 0 AS nothing
            INTO r
            FROM usage_callkey i
            JOIN ledger_hold h ON h.id = i.call
            LEFT JOIN usage_call c ON c.id = i.call
            WHERE i.user_id = u.id AND i.key = p_key
              AND i.created > v_now - interval '24 hours';
        IF FOUND AND r.nothing IS NOT TRUE THEN
            earlier := r.call;
            outcome := CASE
                WHEN NOT r.same THEN 'key_reused'
                WHEN r.state <> 'open' THEN 'completed'
                WHEN r.call <> p_call THEN 'in_progress'
                ELSE 'ok' END;
            detail := u.id;
            held := r.amount;
            output_tokens := r.output_tokens;
            RETURN;
        END IF;
    END IF;
    IF a.owed > 0 THEN
        outcome := 'frozen';
        detail := a.owed;
        RETURN;
    END IF;

    -- GCRA (ITU-T I.371): a burst of a minute's requests, refilled evenly.
    v_tat := a.rate_tat;
    IF p.requests_per_minute IS NOT NULL THEN
        v_gap := interval '1 minute' / p.requests_per_minute;
        v_tat := greatest(coalesce(v_tat, v_now), v_now) + v_gap;
        IF v_tat - v_now > interval '1 minute' + interval '1 millisecond' THEN
            outcome := 'rate_limited';
            detail := ceil(extract(epoch FROM v_tat - v_now) - 60);
            limits := usage__limits(p.requests_per_minute, a.rate_tat - v_now, p.open_calls,
                NULL, p.tokens_per_minute, NULL);
            RETURN;
        END IF;
    END IF;

    IF p.open_calls IS NOT NULL OR k.monthly_cap IS NOT NULL OR p.quota_tokens IS NOT NULL THEN
        SELECT count(*) FILTER (WHERE h.kind = 'call' AND h.lease_until > v_now
                   AND NOT h.metadata ? 'job'),
               coalesce(sum(h.amount) FILTER (WHERE h.metadata ->> 'key' = k.id::text), 0),
               coalesce(sum((h.metadata ->> 'tokens')::bigint), 0)
            INTO v_open, v_key_held, v_reserved
            FROM ledger_hold h WHERE h.account_id = v_wallet AND h.state = 'open';
        IF v_open >= p.open_calls THEN
            outcome := 'too_many_open';
            detail := p.open_calls;
            limits := usage__limits(p.requests_per_minute, a.rate_tat - v_now, p.open_calls,
                v_open, p.tokens_per_minute, NULL);
            RETURN;
        END IF;
    END IF;
    IF k.monthly_cap IS NOT NULL OR p.metering <> 'credits' THEN
        SELECT coalesce(sum(m.requests), 0), coalesce(sum(m.input_tokens + m.output_tokens), 0),
               coalesce(sum(m.spent) FILTER (WHERE m.api_key_id = k.id), 0)
            INTO v_requests, v_tokens, v_key_spent
            FROM usage_monthlyusage m WHERE m.user_id = u.id AND m.month = v_month;
    END IF;

    IF p.metering <> 'credits' THEN
        affordable := CASE WHEN v_requests < coalesce(p.quota_requests, v_requests + 1) THEN
            CASE WHEN p.quota_tokens IS NULL THEN output_tokens ELSE
                floor((p.quota_tokens - v_tokens - v_reserved - p_input_tokens)::numeric
                    / p_choices)
            END ELSE -1 END;
        v_quota := affordable >= output_tokens
            OR (NOT p_exact AND affordable >= least(p_floor, output_tokens));
        IF v_quota THEN
            output_tokens := least(output_tokens, affordable);
            held := 0;
        ELSIF p.metering = 'quota' THEN
            outcome := 'quota';
            RETURN;
        END IF;
    END IF;

    IF NOT v_quota THEN
        v_budget := available;
        IF k.monthly_cap IS NOT NULL THEN
            v_budget := least(v_budget, greatest(k.monthly_cap - v_key_spent - v_key_held, 0));
        END IF;
        affordable := CASE
            WHEN v_budget::numeric * 1000000 < p_input_units THEN -1
            WHEN p_output_rate = 0 THEN output_tokens
            ELSE least(output_tokens, div(
                v_budget::numeric * 1000000 - p_input_units, p_choices::numeric * p_output_rate))
            END;
        v_least := CASE WHEN p_exact THEN output_tokens ELSE least(p_floor, output_tokens) END;
        IF affordable < v_least THEN
            outcome := CASE WHEN v_budget < available THEN 'key_cap' ELSE 'insufficient' END;
            IF outcome = 'insufficient' AND a.low_since IS NULL AND available < a.low_mark THEN
                -- Credits that expired made it low, and now somebody wants some.
                UPDATE ledger_account SET low_since = v_now WHERE id = v_wallet;
            END IF;
            available := v_budget;
            affordable := greatest(affordable, 0);
            needed := ceil(0.000001
                * (p_input_units::numeric + p_choices::numeric * v_least * p_output_rate));
            RETURN;
        END IF;
        output_tokens := affordable;
        -- times, since numeric's division rounds; its multiplication is exact
        held := ceil(0.000001
            * (p_input_units::numeric + p_choices::numeric * output_tokens * p_output_rate));
    END IF;

    -- GCRA once more. A call that has ended counts with what it has used (usage__pace), one that is
    -- open with the most that it can use.
    IF p.tokens_per_minute IS NOT NULL THEN
        v_wanted := p_input_tokens + p_choices * output_tokens;
        v_ahead := ceil(coalesce(greatest(extract(epoch FROM a.token_tat - v_now), 0), 0)
            * p.tokens_per_minute / 60);
        SELECT p.tokens_per_minute - v_ahead - coalesce(sum((h.metadata ->> 'reserved')::bigint), 0)
            INTO v_left
            FROM ledger_hold h WHERE h.account_id = v_wallet AND h.state = 'open';
        IF v_wanted > v_left THEN
            outcome := 'tokens_limited';
            needed := v_wanted;
            -- How long what has been used stands in the way; open calls may do so longer.
            detail := greatest(ceil(
                least(v_wanted - v_left, v_ahead) * 60.0 / p.tokens_per_minute), 1);
            limits := usage__limits(p.requests_per_minute, a.rate_tat - v_now, p.open_calls,
                v_open, p.tokens_per_minute, v_left);
            RETURN;
        END IF;
        v_left := v_left - v_wanted;
        p_metadata := p_metadata
            || jsonb_build_object('reserved', v_wanted, 'per_minute', p.tokens_per_minute);
    END IF;
    IF p_key IS NOT NULL THEN
        p_metadata := p_metadata || '{"keyed": true}';
        INSERT INTO usage_callkey (user_id, key, request, call, output_tokens, created)
            VALUES (u.id, p_key, p_request, p_call, usage_begin.output_tokens, v_now)
            ON CONFLICT (user_id, key) DO UPDATE
                SET request = excluded.request, call = excluded.call,
                    output_tokens = excluded.output_tokens, created = excluded.created;
    END IF;

    UPDATE ledger_account SET held = ledger_account.held + usage_begin.held, rate_tat = v_tat
        WHERE id = v_wallet;
    INSERT INTO ledger_hold (id, account_id, kind, amount, lease_until, metadata, created)
    VALUES (p_call, v_wallet, 'call', held, v_now + p_lease,
            p_metadata || jsonb_build_object('user', u.id, 'key', k.id, 'quota', v_quota,
                'tokens', CASE WHEN v_quota THEN p_input_tokens + p_choices * output_tokens END),
            v_now);
    PERFORM usage__count(u.id, v_month, k.id, 1, 0, 0, 0);
    -- To the minute. Whoever is ending the key or session holds its row, and may want the wallet
    -- next: nobody waits for it here.
    IF k.id IS NOT NULL
       AND (k.last_used_at IS NULL OR k.last_used_at < v_now - interval '1 minute') THEN
        UPDATE accounts_apikey SET last_used_at = v_now WHERE id = (
            SELECT id FROM accounts_apikey WHERE id = k.id FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    IF p_session IS NOT NULL THEN
        UPDATE usersessions_usersession SET last_seen_at = v_now WHERE id = (
            SELECT id FROM usersessions_usersession
                WHERE session_key = p_session AND last_seen_at < v_now - interval '1 minute'
                FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    available := available - held;
    limits := usage__limits(p.requests_per_minute, v_tat - v_now, p.open_calls,
        v_open + 1, p.tokens_per_minute, v_left);
    outcome := 'ok';
    detail := u.id;
END $$;
