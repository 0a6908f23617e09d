-- Named consumers of a feed: what was handed out, and what of it nobody has acknowledged yet.

CREATE TABLE consumer (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    name text NOT NULL,
    channel text NOT NULL CHECK (channel IN ('signals', 'system')),
    filter bytea NOT NULL,
    ack_wait bigint NOT NULL CHECK (ack_wait > 0),
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    lease bigint NOT NULL,
    since_lease bigint NOT NULL,
    created bigint NOT NULL,
    PRIMARY KEY (account_id, name)
) WITH (fillfactor = 50);
COMMENT ON COLUMN consumer.seq IS 'Everything up to here has been handed out, or was not wanted.';
COMMENT ON COLUMN consumer.lease IS 'The newest given out; begins at the microsecond of its making, so none comes back.';
COMMENT ON COLUMN consumer.since_lease IS 'Leases below are of before its making or reset: who has one joins again.';
COMMENT ON COLUMN consumer.ack_wait IS 'Microseconds.';

CREATE TABLE consumer_pending (
    account_id uuid NOT NULL,
    name text NOT NULL,
    seq bigint NOT NULL,
    attempt integer NOT NULL,
    lease bigint NOT NULL,
    due bigint NOT NULL,
    PRIMARY KEY (account_id, name, seq),
    FOREIGN KEY (account_id, name) REFERENCES consumer ON DELETE CASCADE
) WITH (fillfactor = 50);
COMMENT ON TABLE consumer_pending IS 'Handed out and not acknowledged. Written under the lock of its consumer''s row.';
COMMENT ON COLUMN consumer_pending.lease IS 'Under which it was last delivered; 0 once it was given back.';
