CREATE TABLE rule (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    version integer NOT NULL,
    deleted boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN rule.version IS 'The newest one; a deletion is a version, too.';
CREATE INDEX rule_living ON rule (account_id, id) WHERE NOT deleted;

CREATE TABLE rule_version (
    rule_id uuid NOT NULL,
    version integer NOT NULL,
    account_id uuid NOT NULL,
    document bytea NOT NULL,
    created bigint NOT NULL,
    effective_seen bigint,
    deleted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (rule_id, version)
);
COMMENT ON TABLE rule_version IS 'No foreign key, for the sake of bulk imports: written only beside its rule.';
COMMENT ON COLUMN rule_version.document IS 'The very text; read it with convert_from(document, ''UTF8'').';
COMMENT ON COLUMN rule_version.effective_seen IS 'Where in the order the engine took it up; null until then.';
CREATE INDEX rule_version_pending ON rule_version (rule_id) WHERE effective_seen IS NULL;

CREATE TABLE rule_state (
    rule_id uuid NOT NULL,
    instrument_id integer NOT NULL,
    shard integer NOT NULL,
    version integer NOT NULL,
    phase smallint NOT NULL,
    armed boolean NOT NULL,
    silent boolean NOT NULL,
    since bigint NOT NULL,
    due_at bigint NOT NULL,
    due_seen bigint NOT NULL,
    emitted_at bigint NOT NULL,
    fired integer NOT NULL,
    seen bigint NOT NULL,
    PRIMARY KEY (rule_id, instrument_id)
) WITH (fillfactor = 70);
COMMENT ON TABLE rule_state IS 'No foreign key: it is written on the hot path, by journal_commit alone.';

CREATE TABLE shard (
    shard integer PRIMARY KEY,
    owner text NOT NULL,
    term bigint NOT NULL,
    cursor_seen bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
