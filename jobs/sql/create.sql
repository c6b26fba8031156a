-- Creating a job: the row, its items, and the hold of each, in one statement and one commit.
--
-- p_items are what usage_begin needs, an object for each item, and p_inputs what each asks. The
-- wallet's lock goes first, as everywhere; a job's row comes after it, and its holds after that.
-- Any outcome but ok and repeated is the caller's to roll back; place then says which item it is
-- about, and available of the first refusal for money what the wallet had for all of them.
CREATE OR REPLACE FUNCTION jobs_create(
    p_job uuid, p_user bigint, p_digest bytea, p_kind text, p_items jsonb, p_inputs text[],
    p_webhook text, p_key text, p_request bytea, p_most int, p_deadline interval,
    OUT outcome text, OUT held bigint, OUT output_tokens bigint, OUT available bigint,
    OUT needed bigint, OUT affordable bigint, OUT detail bigint, OUT place int, OUT job uuid,
    OUT made timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint := ledger_account_of(p_user, 'wallet');
    v_before bigint;
    v_total bigint := 0;
    j jobs_job;
    a ledger_account;
    b record;
    v jsonb;
BEGIN
    a := ledger__lock(v_account);
    v_before := a.posted - a.held;
    IF p_key IS NOT NULL THEN
        SELECT * INTO j FROM jobs_job WHERE user_id = p_user AND key = p_key;
        IF FOUND THEN
            outcome := CASE WHEN j.request = p_request THEN 'repeated' ELSE 'key_reused' END;
            job := j.id;
            RETURN;
        END IF;
    END IF;
    IF (SELECT count(*) FROM jobs_job
            WHERE user_id = p_user AND finished IS NULL) >= p_most THEN
        outcome := 'too_many';
        detail := p_most;
        RETURN;
    END IF;
    job := p_job;
    made := clock_timestamp();
    INSERT INTO jobs_job (id, user_id, account_id, kind, state, total, webhook, key, request,
            not_before, deadline, created)
        VALUES (p_job, p_user, v_account, p_kind, 'queued', jsonb_array_length(p_items), p_webhook,
            p_key, p_request, made, made + p_deadline, made);
    FOR v_place IN 0 .. jsonb_array_length(p_items) - 1 LOOP
        place := v_place;
        v := p_items -> v_place;
        SELECT * INTO b FROM usage_begin(
            (v ->> 'call')::uuid, p_digest, CASE WHEN p_digest IS NULL THEN p_user END, NULL, NULL,
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
            RETURN;
        END IF;
        INSERT INTO jobs_item (job_id, place, call, state, input, output_tokens, held)
            VALUES (p_job, v_place, (v ->> 'call')::uuid, 'queued', p_inputs[v_place + 1],
                b.output_tokens, b.held);
        v_total := v_total + b.held;
    END LOOP;
    UPDATE jobs_job SET held = v_total WHERE id = p_job;
    outcome := 'ok';
    held := v_total;
END $$;
