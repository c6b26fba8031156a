-- What a worker does with a job. It holds it by a lease and a token: the lease is renewed while it
-- works, and each later write names the token, so that a worker whose lease ran out, and whose job
-- is another's by now, changes nothing.

-- Take up to p_limit jobs that are due, oldest first; no two callers ever take the same. places are
-- the items that are still to be done, seconds how long the job's deadline is away.
CREATE OR REPLACE FUNCTION jobs_claim(p_limit int, p_lease interval)
RETURNS TABLE (id uuid, token uuid, user_id bigint, kind text, attempts int, seconds float,
    places int[])
LANGUAGE sql AS $$
    WITH due AS (
        SELECT q.id FROM jobs_job q
        WHERE q.state = 'queued' AND q.not_before <= clock_timestamp()
          AND q.deadline > clock_timestamp()
        ORDER BY q.created LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs_job j
        SET state = 'running', token = gen_random_uuid(), attempts = j.attempts + 1,
            lease_until = clock_timestamp() + p_lease,
            started = coalesce(j.started, clock_timestamp())
        FROM due WHERE j.id = due.id
        RETURNING j.id, j.token, j.user_id, j.kind, j.attempts,
            extract(epoch FROM j.deadline - clock_timestamp())::float, ARRAY(
            SELECT i.place FROM jobs_item i WHERE i.job_id = j.id AND i.state = 'queued'
            ORDER BY i.place)
$$;

-- Which of these jobs are still the worker's, and whether each is to be canceled.
CREATE OR REPLACE FUNCTION jobs_look(p_jobs uuid[], p_tokens uuid[])
RETURNS TABLE (id uuid, cancel boolean) LANGUAGE sql STABLE AS $$
    SELECT j.id, j.cancel_requested_at IS NOT NULL
    FROM unnest(p_jobs, p_tokens) AS mine (id, token)
    JOIN jobs_job j ON j.id = mine.id AND j.token = mine.token AND j.state = 'running'
$$;

-- The same, and their leases begin anew. Of several jobs the one with the lowest id is locked first,
-- here and wherever else one transaction locks more than one.
CREATE OR REPLACE FUNCTION jobs_renew(p_jobs uuid[], p_tokens uuid[], p_lease interval)
RETURNS TABLE (id uuid, cancel boolean) LANGUAGE sql AS $$
    WITH mine AS (
        SELECT q.id FROM jobs_job q JOIN unnest(p_jobs, p_tokens) AS m (id, token)
            ON q.id = m.id AND q.token = m.token
        WHERE q.state = 'running'
        ORDER BY q.id FOR NO KEY UPDATE OF q
    )
    UPDATE jobs_job j SET lease_until = clock_timestamp() + p_lease
        FROM mine WHERE j.id = mine.id
        RETURNING j.id, j.cancel_requested_at IS NOT NULL
$$;

-- Whether a job is this worker's to work on, until the caller's commit.
CREATE OR REPLACE FUNCTION jobs__mine(p_job uuid, p_token uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM jobs_job WHERE id = p_job AND token = p_token AND state = 'running'
        AND lease_until > clock_timestamp() AND cancel_requested_at IS NULL FOR SHARE;
    RETURN FOUND;
END $$;

-- Begin an item, before anybody is asked anything: what it asks, or NULL when it is not to be done
-- by this worker now. lost is how often a worker died at it, absorbed what other attempts cost.
CREATE OR REPLACE FUNCTION jobs_start_item(p_job uuid, p_token uuid, p_place int,
    OUT call uuid, OUT input text, OUT output_tokens bigint, OUT held bigint, OUT lost int,
    OUT absorbed bigint, OUT price bigint
) LANGUAGE plpgsql AS $$
BEGIN
    IF jobs__mine(p_job, p_token) THEN
        UPDATE jobs_item i SET state = 'running'
            WHERE i.job_id = p_job AND i.place = p_place AND i.state = 'queued'
            RETURNING i.call, i.input, i.output_tokens, i.held, i.lost, i.absorbed
            INTO call, input, output_tokens, held, lost, absorbed;
        SELECT (h.metadata ->> 'price')::bigint INTO price FROM ledger_hold h WHERE h.id = call;
    END IF;
END $$;

-- The item came to nothing for now; p_absorbed is what that cost the operator.
CREATE OR REPLACE FUNCTION jobs_stop_item(p_job uuid, p_token uuid, p_place int, p_absorbed bigint)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM jobs_job WHERE id = p_job AND token = p_token AND state = 'running' FOR SHARE;
    IF FOUND THEN
        UPDATE jobs_item SET state = 'queued', absorbed = absorbed + p_absorbed
            WHERE job_id = p_job AND place = p_place AND state = 'running';
    END IF;
    RETURN FOUND;
END $$;

-- The caller holds the wallet's lock and the job's. A job ends with its last item; it is done when
-- any of them is. What was asked is forgotten at once, but for a job that failed: that can be retried
-- as long as it is kept.
CREATE OR REPLACE FUNCTION jobs__end_if_over(p_job uuid, p_state text DEFAULT NULL) RETURNS jobs_job
LANGUAGE plpgsql AS $$
DECLARE j jobs_job;
BEGIN
    UPDATE jobs_job o SET done = s.done, failed = s.failed, spent = s.spent
        FROM (
            SELECT count(*) FILTER (WHERE state = 'done') AS done,
                   count(*) FILTER (WHERE state IN ('failed', 'canceled')) AS failed,
                   coalesce(sum(spent), 0) AS spent
            FROM jobs_item WHERE job_id = p_job
        ) s WHERE o.id = p_job RETURNING o.* INTO j;
    IF j.state IN ('queued', 'running') AND j.done + j.failed >= j.total THEN
        UPDATE jobs_job SET state = coalesce(p_state, CASE
                WHEN j.cancel_requested_at IS NOT NULL AND EXISTS (
                    SELECT FROM jobs_item WHERE job_id = p_job AND state = 'canceled')
                    THEN 'canceled'
                WHEN j.done > 0 OR j.total = 0 THEN 'done' ELSE 'failed' END),
            error = CASE WHEN j.done = 0 THEN coalesce(error, (
                SELECT i.error FROM jobs_item i WHERE i.job_id = p_job AND i.error IS NOT NULL
                ORDER BY i.place LIMIT 1)) END,
            finished = clock_timestamp(), lease_until = NULL
            WHERE id = p_job RETURNING * INTO j;
        IF j.state <> 'failed' THEN
            UPDATE jobs_item SET input = NULL WHERE job_id = p_job;
        END IF;
        IF j.webhook <> '' THEN
            INSERT INTO jobs_delivery (id, job_id, state, next_at, created)
                VALUES (gen_random_uuid(), p_job, 'pending', clock_timestamp(), clock_timestamp());
        END IF;
    END IF;
    RETURN j;
END $$;

-- Lock a job, after its wallet; NULLs when it is gone.
CREATE OR REPLACE FUNCTION jobs__lock(p_job uuid) RETURNS jobs_job
LANGUAGE plpgsql AS $$
DECLARE
    v_account bigint;
    j jobs_job;
BEGIN
    SELECT account_id INTO v_account FROM jobs_job WHERE id = p_job;
    IF v_account IS NOT NULL THEN
        PERFORM ledger__lock(v_account);
        SELECT * INTO j FROM jobs_job WHERE id = p_job FOR NO KEY UPDATE;
    END IF;
    RETURN j;
END $$;

-- An item's end: its call's (usage_finish, whose arguments these are), its result's, and with the
-- last of them the job's. Repeated by the same worker it answers the first result again.
CREATE OR REPLACE FUNCTION jobs_finish_item(
    p_job uuid, p_token uuid, p_place int, p_state text, p_result text, p_file text, p_bytes bigint,
    p_problem jsonb, p_status text, p_charge bigint, p_cost bigint, p_usage jsonb,
    p_estimated boolean, p_error text, p_first_event_ms int, p_provider text,
    OUT spent bigint, OUT returned bigint, OUT written_off bigint, OUT repeated boolean,
    OUT owner bigint, OUT crossed boolean, OUT job_state text, OUT job_done int,
    OUT job_failed int, OUT job_spent bigint
) LANGUAGE plpgsql AS $$
DECLARE
    j jobs_job := jobs__lock(p_job);
    i jobs_item;
    f record;
BEGIN
    SELECT * INTO i FROM jobs_item WHERE job_id = p_job AND place = p_place;
    IF j.token IS DISTINCT FROM p_token OR i.id IS NULL
       OR (i.state = 'queued') OR (i.state = 'running' AND j.state <> 'running') THEN
        RAISE EXCEPTION 'job % is another worker''s by now', p_job
            USING ERRCODE = 'FB410', DETAIL = '{"state": "taken over"}';
    END IF;
    SELECT * INTO f FROM usage_finish(
        i.call, p_status, least(p_charge, i.held), p_cost, p_usage, p_estimated, p_error,
        p_first_event_ms, p_provider);
    spent := f.spent;
    returned := f.returned;
    written_off := f.written_off;
    repeated := f.repeated;
    owner := f.owner;
    crossed := f.crossed;
    IF i.state = 'running' THEN
        UPDATE jobs_item SET state = p_state, result = p_result, file = p_file, bytes = p_bytes,
            error = p_problem, spent = f.spent WHERE id = i.id;
        j := jobs__end_if_over(p_job);
    END IF;
    job_state := j.state;
    job_done := j.done;
    job_failed := j.failed;
    job_spent := j.spent;
END $$;

-- End all that is open of a job whose lock the caller holds: each open item's hold is released.
-- What items that were begun may have cost, nobody knows here but for what was absorbed.
CREATE OR REPLACE FUNCTION jobs__end(j jobs_job, p_state text, p_problem jsonb) RETURNS jobs_job
LANGUAGE plpgsql AS $$
DECLARE i record;
BEGIN
    FOR i IN SELECT * FROM jobs_item WHERE job_id = j.id AND state IN ('queued', 'running')
             ORDER BY place LOOP
        PERFORM usage_finish(i.call, 'failed', 0, i.absorbed, NULL, false,
            p_problem ->> 'message', NULL);
        UPDATE jobs_item SET state = p_state, error = p_problem WHERE id = i.id;
    END LOOP;
    IF p_problem IS NOT NULL THEN
        UPDATE jobs_job SET error = p_problem WHERE id = j.id;
    END IF;
    RETURN jobs__end_if_over(
        j.id, CASE WHEN p_state = 'canceled' OR j.total = 0 THEN p_state END);
END $$;

-- The worker gives the job back: to be tried again after p_pause, or to end as p_state. An attempt
-- that is none of p_counted ended with its worker's process, as every deployment ends it.
CREATE OR REPLACE FUNCTION jobs_give_back(
    p_job uuid, p_token uuid, p_pause interval, p_counted boolean, p_state text, p_problem jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE j jobs_job := jobs__lock(p_job);
BEGIN
    IF j.token IS DISTINCT FROM p_token OR j.state <> 'running' THEN
        RETURN j.state;
    END IF;
    IF j.cancel_requested_at IS NOT NULL THEN
        p_state := 'canceled';
        p_problem := '{"code": "canceled", "message": "The job was canceled."}';
    END IF;
    IF p_state IS NOT NULL THEN
        j := jobs__end(j, p_state, p_problem);
        RETURN j.state;
    END IF;
    UPDATE jobs_item SET state = 'queued' WHERE job_id = p_job AND state = 'running';
    UPDATE jobs_job SET state = 'queued', token = NULL, lease_until = NULL,
        attempts = attempts - CASE WHEN p_counted THEN 0 ELSE 1 END,
        not_before = clock_timestamp() + p_pause WHERE id = p_job;
    RETURN 'queued';
END $$;
