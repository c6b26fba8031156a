-- Say of a new job, in the transaction that makes it, which one it asks again.
CREATE OR REPLACE FUNCTION jobs_link_retry(p_job uuid, p_retried uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE jobs_job SET retried_from_id = p_retried WHERE id = p_job;
    RETURN FOUND;
END $$;
