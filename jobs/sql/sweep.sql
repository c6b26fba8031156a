-- What anybody may do to a job from outside: cancel it, and find what no worker holds.

-- A queued job ends at once; of one that runs the worker sees it within a second. Answers the state
-- that it has then.
CREATE OR REPLACE FUNCTION jobs_cancel(p_job uuid) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE j jobs_job := jobs__lock(p_job);
BEGIN
    IF j.state = 'queued' THEN
        j := jobs__end(j, 'canceled', '{"code": "canceled", "message": "The job was canceled."}');
    ELSIF j.state = 'running' THEN
        UPDATE jobs_job SET cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp())
            WHERE id = p_job;
    END IF;
    RETURN j.state;
END $$;

-- A job that no worker holds any more, or whose time is over: queued again, or ended when it was
-- canceled, has been tried p_attempts times, or is past its deadline. An item that a worker died at
-- is lost once more: what that attempt cost is the operator's. Answers the state that it has then;
-- NULL when there was nothing to do.
CREATE OR REPLACE FUNCTION jobs_sweep_one(p_job uuid, p_attempts int) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE j jobs_job := jobs__lock(p_job);
BEGIN
    IF j.state = 'running' AND j.lease_until < clock_timestamp() THEN
        UPDATE jobs_item SET state = 'queued', lost = lost + 1
            WHERE job_id = p_job AND state = 'running';
        IF j.cancel_requested_at IS NOT NULL THEN
            j := jobs__end(j, 'canceled',
                '{"code": "canceled", "message": "The job was canceled."}');
        ELSIF j.attempts >= p_attempts THEN
            j := jobs__end(j, 'failed', jsonb_build_object('code', 'internal_error', 'message',
                format('Given up after %s attempts.', j.attempts)));
        ELSIF j.deadline > clock_timestamp() THEN
            UPDATE jobs_job SET state = 'queued', token = NULL, lease_until = NULL,
                not_before = clock_timestamp() WHERE id = p_job;
            RETURN 'queued';
        END IF;
    END IF;
    IF j.deadline <= clock_timestamp() AND (j.state = 'queued'
            OR (j.state = 'running' AND j.lease_until < clock_timestamp())) THEN
        j := jobs__end(j, 'failed',
            '{"code": "unavailable", "message": "The job was not done in time."}');
    ELSIF j.state IN ('queued', 'running') THEN
        RETURN NULL;
    END IF;
    RETURN j.state;
END $$;

-- End a job now, whoever is at it: its owner leaves. Answers the state that it has then.
CREATE OR REPLACE FUNCTION jobs_end(p_job uuid) RETURNS text LANGUAGE plpgsql AS $$
DECLARE j jobs_job := jobs__lock(p_job);
BEGIN
    IF j.state IN ('queued', 'running') THEN
        j := jobs__end(j, 'canceled', '{"code": "canceled", "message": "The job was canceled."}');
    END IF;
    RETURN j.state;
END $$;

-- A queued job need not wait for its next attempt any longer.
CREATE OR REPLACE FUNCTION jobs_hurry(p_job uuid) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_job SET not_before = clock_timestamp() WHERE id = p_job AND state = 'queued';
    RETURN FOUND;
END $$;
