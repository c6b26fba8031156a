-- Who is signed in: the one rule for pages, API, sockets and the proxy, which asks it inside begin.

-- The user of an extension's access token (p_token, its SHA-256 in hexadecimal, as allauth keeps
-- it) or of a session (p_session, its key); NULL when it has ended. A session counts from the
-- moment it is fully signed in: until then allauth has no row of it.
CREATE OR REPLACE FUNCTION accounts_signed_in(p_token text, p_session text)
RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT t.user_id
        FROM allauth_idp_oidc_token t
        WHERE t.hash = p_token AND t.type = 'at'
          AND (t.expires_at IS NULL OR t.expires_at > clock_timestamp())
    UNION ALL
    SELECT s.user_id
        FROM usersessions_usersession s
        JOIN django_session d USING (session_key)
        WHERE s.session_key = p_session AND d.expire_date > clock_timestamp()
    LIMIT 1
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
