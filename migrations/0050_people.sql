-- Passwords, scoped keys, browser sessions, tickets for WebSockets, and who did what.

ALTER TABLE account ADD COLUMN password text, ADD COLUMN disabled bigint;
COMMENT ON COLUMN account.password IS 'argon2id, with its parameters and salt; null where nobody logs in by password.';
COMMENT ON COLUMN account.disabled IS 'Since when nobody gets in.';

ALTER TABLE api_key
    ADD COLUMN title text NOT NULL DEFAULT '',
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,write,admin}' CHECK (scopes <@ '{read,write,admin}'),
    ADD COLUMN used bigint;
COMMENT ON COLUMN api_key.used IS 'Kept to the minute.';

CREATE TABLE session (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    key_id uuid REFERENCES api_key ON DELETE CASCADE,
    scopes text[] NOT NULL CHECK (scopes <@ '{read,write,admin}'),
    created bigint NOT NULL,
    expires bigint NOT NULL,
    used bigint,
    agent text NOT NULL DEFAULT ''
);
CREATE INDEX session_of_account ON session (account_id, number);
CREATE INDEX session_of_key ON session (key_id);
CREATE INDEX session_expiry ON session (expires);

CREATE TABLE ticket (
    digest bytea PRIMARY KEY CHECK (length(digest) = 32),
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    credential bytea NOT NULL,
    is_session boolean NOT NULL,
    expires bigint NOT NULL
);
COMMENT ON COLUMN ticket.credential IS 'The digest of the key or session it was made with: the socket lives no longer.';
CREATE INDEX ticket_of_account ON ticket (account_id);
CREATE INDEX ticket_expiry ON ticket (expires);

CREATE TABLE audit (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor uuid,
    account_id uuid,
    action text NOT NULL,
    target text NOT NULL,
    detail jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE audit IS 'Append-only. Names nobody: an erased account leaves an id that means nothing any more.';
COMMENT ON COLUMN audit.actor IS 'Who did it; null for the operator at the command line.';
COMMENT ON COLUMN audit.account_id IS 'Whose thing it was done to; null where it is nobody''s.';
CREATE INDEX audit_of_account ON audit (account_id, number);
CREATE INDEX audit_of_actor ON audit (actor, number);

CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP USING ERRCODE = 'PW002';
END
$$;
CREATE TRIGGER audit_stands BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_stays BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();

-- Rules are always written by their owner, in whatever way: the table itself tells, in the same transaction.
-- One entry for a statement's rules of one account: an import of thousands is one act.
CREATE FUNCTION audit_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (at, actor, account_id, action, target, detail)
    SELECT
        max(created), account_id, account_id,
        CASE WHEN deleted THEN 'rule.delete' WHEN version = 1 THEN 'rule.create' ELSE 'rule.revise' END,
        CASE WHEN count(*) = 1 THEN min(rule_id::text) ELSE '' END,
        CASE
            WHEN count(*) = 1 THEN jsonb_build_object('version', max(version))
            ELSE jsonb_build_object('rules', count(*))
        END
    FROM written
    GROUP BY account_id, deleted, version = 1;
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_rules AFTER INSERT ON rule_version REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION audit_rules();

CREATE FUNCTION audit_markets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (at, actor, action, target, detail)
    VALUES (
        NEW.at, NEW.account_id, 'market.choose', NEW.venue || ':' || NEW.symbol,
        jsonb_build_object('wanted', NEW.wanted)
    );
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_markets AFTER INSERT OR UPDATE ON market_choice
    FOR EACH ROW EXECUTE FUNCTION audit_markets();
