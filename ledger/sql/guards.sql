-- What PostgreSQL refuses, whoever asks: changing a transfer or a hold that has ended, and
-- deleting from the books.

CREATE OR REPLACE FUNCTION ledger__refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: the ledger is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'FB000', HINT = 'Correct it by another transfer, through a verb.';
END $$;

CREATE OR REPLACE TRIGGER ledger_transfer_append_only
    BEFORE UPDATE OR DELETE ON ledger_transfer
    FOR EACH ROW EXECUTE FUNCTION ledger__refuse();

CREATE OR REPLACE TRIGGER ledger_account_kept
    BEFORE DELETE ON ledger_account
    FOR EACH ROW EXECUTE FUNCTION ledger__refuse();

CREATE OR REPLACE TRIGGER ledger_hold_kept
    BEFORE DELETE ON ledger_hold
    FOR EACH ROW EXECUTE FUNCTION ledger__refuse();

-- This keeps the promise that a hold ends once.
CREATE OR REPLACE TRIGGER ledger_hold_ends_once
    BEFORE UPDATE ON ledger_hold
    FOR EACH ROW WHEN (OLD.state <> 'open') EXECUTE FUNCTION ledger__refuse();

CREATE OR REPLACE TRIGGER ledger_grant_kept
    BEFORE DELETE ON ledger_grant
    FOR EACH ROW EXECUTE FUNCTION ledger__refuse();

CREATE OR REPLACE TRIGGER ledger_idempotencykey_kept
    BEFORE UPDATE ON ledger_idempotencykey
    FOR EACH ROW EXECUTE FUNCTION ledger__refuse();
