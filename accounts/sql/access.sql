-- Who is signed in: the one rule for pages, API, sockets and the proxy, which asks it inside begin.

-- The user of an extension's access token (p_token, its SHA-256 in hexadecimal, as allauth keeps
-- it) or of a session (p_session, its key); NULL when it has ended. A session counts from the
-- moment it is fully signed in: until then allauth has no row of it. A token counts when its client
-- is the operator's own, which is what skipping consent says: whoever consented to show another
-- client an address has not consented to its spending credits.
CREATE OR REPLACE FUNCTION accounts_signed_in(p_token text, p_session text)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT u.id
        FROM (
            SELECT t.user_id
                FROM allauth_idp_oidc_token t
                JOIN allauth_idp_oidc_client c ON c.id = t.client_id AND c.skip_consent
                WHERE t.hash = p_token AND t.type = 'at'
                  AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
            UNION ALL
            SELECT s.user_id
                FROM usersessions_usersession s
                JOIN django_session d USING (session_key)
                WHERE s.session_key = p_session AND d.expire_date > clock_timestamp()
        ) found
        JOIN accounts_user u ON u.id = found.user_id AND u.is_active
        LIMIT 1
$$;

-- Whether what a credential opened may stay open: p_value is an API key's SHA-256 or an access
-- token's hash, in hexadecimal, or a session's key. Of an extension's sign-in any valid token of
-- the family will do, because tokens are renewed while a socket stays.
CREATE OR REPLACE FUNCTION accounts_has_access(p_kind text, p_value text, p_user bigint)
RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT CASE p_kind
        WHEN 'key' THEN EXISTS (
            SELECT FROM accounts_apikey k
                JOIN accounts_user u ON u.id = k.user_id AND u.is_active
                WHERE k.digest = decode(p_value, 'hex') AND k.user_id = p_user
                  AND k.revoked_at IS NULL
                  AND (k.expires_at IS NULL OR k.expires_at > clock_timestamp()))
        WHEN 'token' THEN accounts_signed_in(p_value, NULL) IS NOT DISTINCT FROM p_user OR EXISTS (
            SELECT FROM accounts_familytoken f
                JOIN accounts_familytoken g USING (family_id)
                JOIN allauth_idp_oidc_token t ON t.hash = g.hash
                JOIN accounts_user u ON u.id = t.user_id AND u.is_active
                WHERE f.hash = p_value AND t.user_id = p_user
                  AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp()))
        WHEN 'session' THEN accounts_signed_in(NULL, p_value) IS NOT DISTINCT FROM p_user
        ELSE false END
$$;

-- End every sign-in of a user. API keys are no sign-ins and stay.
CREATE OR REPLACE FUNCTION accounts_end_sign_ins(p_user bigint) RETURNS void LANGUAGE sql AS $$
    DELETE FROM django_session d USING usersessions_usersession s
        WHERE s.session_key = d.session_key AND s.user_id = p_user;
    DELETE FROM usersessions_usersession WHERE user_id = p_user;
    DELETE FROM allauth_idp_oidc_token WHERE user_id = p_user;
    DELETE FROM accounts_familytoken f USING accounts_tokenfamily t
        WHERE f.family_id = t.id AND t.user_id = p_user;
    DELETE FROM accounts_tokenfamily WHERE user_id = p_user;
$$;

-- Whoever changes a password or disables somebody, and by whatever way, ends their sign-ins.
CREATE OR REPLACE FUNCTION accounts__access_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM accounts_end_sign_ins(NEW.id);
    RETURN NULL;
END $$;

CREATE OR REPLACE TRIGGER accounts_user_access_changed
    AFTER UPDATE OF password, is_active ON accounts_user
    FOR EACH ROW WHEN (
        OLD.password IS DISTINCT FROM NEW.password OR (OLD.is_active AND NOT NEW.is_active))
    EXECUTE FUNCTION accounts__access_changed();
