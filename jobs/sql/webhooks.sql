-- Webhooks that are due, taken by moving their next attempt ahead.
CREATE OR REPLACE FUNCTION jobs_claim_deliveries(p_limit int, p_taken interval)
RETURNS TABLE (id uuid, attempts int, url text, sealed text, job jsonb) LANGUAGE sql AS $$
    WITH due AS (
        SELECT q.id FROM jobs_delivery q
        WHERE q.state = 'pending' AND q.next_at <= clock_timestamp()
        ORDER BY q.next_at LIMIT p_limit FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE jobs_delivery d
        SET attempts = d.attempts + 1, next_at = clock_timestamp() + p_taken
        FROM due
        JOIN jobs_delivery m ON m.id = due.id
        JOIN jobs_job j ON j.id = m.job_id
        LEFT JOIN jobs_webhooksecret s ON s.user_id = j.user_id
        WHERE d.id = due.id
        RETURNING d.id, d.attempts, j.webhook, coalesce(s.sealed, ''), jsonb_build_object(
            'id', j.id, 'kind', j.kind, 'state', j.state, 'total', j.total, 'done', j.done,
            'failed', j.failed, 'held', j.held, 'spent', j.spent, 'error', j.error,
            'created', j.created, 'finished', j.finished)
$$;

CREATE OR REPLACE FUNCTION jobs_end_delivery(
    p_delivery uuid, p_state text, p_problem text, p_pause interval
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_delivery SET state = p_state, problem = left(p_problem, 200),
        next_at = clock_timestamp() + coalesce(p_pause, interval '0')
        WHERE id = p_delivery AND state = 'pending';
    RETURN FOUND;
END $$;
