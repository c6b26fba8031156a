-- Creating a job: the row, its items, and the hold of each, in one statement and one commit.
--
-- Who asks is p_digest, an API key's SHA-256, or p_user, somebody the caller knows. p_items are what
-- usage_begin needs, an object for each item, each with what it asks, its input, as text. The
-- wallet's lock goes first, as everywhere; a job's row comes after it, and its holds after that.
--
-- Any outcome but ok and repeated is a refusal, and nothing is left of it; place then says which
-- item it is about, and available of the first refusal for money what the wallet had for all of
-- them. Made again under its own id, because its answer was lost, a job is ok and stays as it is.
-- owner is the user that it is of.
CREATE OR REPLACE FUNCTION jobs_create(
    p_job uuid, p_user bigint, p_digest bytea, p_kind text, p_items jsonb, p_webhook text,
    p_key text, p_request bytea, p_most int, p_deadline interval,
    OUT outcome text, OUT held bigint, OUT output_tokens bigint, OUT available bigint,
    OUT needed bigint, OUT affordable bigint, OUT detail bigint, OUT place int, OUT job uuid,
    OUT made timestamptz, OUT owner bigint
) LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint;
    v_before bigint;
    v_total bigint := 0;
    j jobs_job;
    a ledger_account;
    k accounts_apikey;
    b record;
    v jsonb;
BEGIN
    owner := p_user;
    IF p_digest IS NOT NULL THEN
        SELECT * INTO k FROM accounts_apikey WHERE digest = p_digest;
        IF k.id IS NULL OR k.revoked_at IS NOT NULL OR k.expires_at <= clock_timestamp()
           OR NOT EXISTS (SELECT FROM accounts_user u WHERE u.id = k.user_id AND u.is_active) THEN
            outcome := 'invalid_key';
            RETURN;
        END IF;
        IF NOT 'ai' = ANY (k.scopes) THEN
            outcome := 'scope';
            RETURN;
        END IF;
        owner := k.user_id;
    END IF;
    v_account := ledger_account_of(owner, 'wallet');
    a := ledger__lock(v_account);
    v_before := a.posted - a.held;
    IF a.closed_at IS NOT NULL THEN  -- its owner has left while this waited for the lock
        outcome := 'invalid_key';
        RETURN;
    END IF;
    SELECT * INTO j FROM jobs_job WHERE id = p_job;
    IF FOUND THEN
        outcome := 'ok';
        job := j.id;
        held := j.held;
        made := j.created;
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        SELECT * INTO j FROM jobs_job WHERE user_id = owner AND key = p_key;
        IF FOUND THEN
            outcome := CASE WHEN j.request = p_request THEN 'repeated' ELSE 'key_reused' END;
            job := j.id;
            RETURN;
        END IF;
    END IF;
    IF (SELECT count(*) FROM jobs_job
            WHERE user_id = owner AND finished IS NULL) >= p_most THEN
        outcome := 'too_many';
        detail := p_most;
        RETURN;
    END IF;
    job := p_job;
    made := clock_timestamp();
    IF k.last_used_at IS NULL OR k.last_used_at < made - interval '1 minute' THEN
        -- To the minute; as in usage_begin, nobody waits for the key's row.
        UPDATE accounts_apikey SET last_used_at = made WHERE id = (
            SELECT id FROM accounts_apikey WHERE id = k.id FOR NO KEY UPDATE SKIP LOCKED);
    END IF;
    IF jsonb_array_length(p_items) = 0 THEN
        INSERT INTO jobs_job (id, user_id, account_id, kind, state, total, webhook, key, request,
                not_before, deadline, created)
            VALUES (p_job, owner, v_account, p_kind, 'queued', 0, p_webhook, p_key, p_request,
                made, made + p_deadline, made);
        outcome := 'ok';
        held := 0;
        RETURN;
    END IF;
    -- The block's end undoes what a refused job has done by then.
    BEGIN
        INSERT INTO jobs_job (id, user_id, account_id, kind, state, total, webhook, key, request,
                not_before, deadline, created)
            VALUES (p_job, owner, v_account, p_kind, 'queued', jsonb_array_length(p_items),
                p_webhook, p_key, p_request, made, made + p_deadline, made);
        FOR v_place IN 0 .. jsonb_array_length(p_items) - 1 LOOP
            place := v_place;
            v := p_items -> v_place;
            SELECT * INTO b FROM usage_begin(
                (v ->> 'call')::uuid, p_digest, owner, NULL, NULL,
                v ->> 'model', (v -> 'metadata') || jsonb_build_object('job', p_job),
                (v ->> 'input_tokens')::bigint, (v ->> 'input_units')::bigint,
                (v ->> 'output_rate')::bigint, (v ->> 'output_tokens')::bigint,
                (v ->> 'exact')::boolean, (v ->> 'floor')::bigint, (v ->> 'choices')::int, p_deadline);
            outcome := b.outcome;
            held := b.held;
            output_tokens := b.output_tokens;
            available := b.available;
            needed := b.needed;
            affordable := b.affordable;
            detail := b.detail;
            IF outcome <> 'ok' THEN
                IF outcome = 'insufficient' THEN
                    available := v_before;
                END IF;
                RAISE EXCEPTION 'refused' USING ERRCODE = 'FB499';
            END IF;
            INSERT INTO jobs_item (job_id, place, call, state, input, output_tokens, held)
                VALUES (p_job, v_place, (v ->> 'call')::uuid, 'queued', v ->> 'input',
                    b.output_tokens, b.held);
            v_total := v_total + b.held;
        END LOOP;
        UPDATE jobs_job SET held = v_total WHERE id = p_job;
        held := v_total;
    EXCEPTION WHEN SQLSTATE 'FB499' THEN
        RETURN;
    END;
END $$;
