-- Written by journal_commit alone, dozens a second: hence no foreign keys on signal, feed_entry and delivery.

CREATE TABLE signal (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL,
    rule_id uuid NOT NULL,
    rule_version integer NOT NULL,
    instrument_id integer NOT NULL,
    direction text NOT NULL,
    at bigint NOT NULL,
    seen bigint NOT NULL,
    payload bytea NOT NULL,
    committed_at bigint NOT NULL
);
COMMENT ON COLUMN signal.payload IS 'The whole signal as JSON; read it with convert_from(payload, ''UTF8'').';

CREATE TABLE feed_entry (
    feed_id uuid NOT NULL,
    seq bigint NOT NULL,
    signal_id uuid NOT NULL UNIQUE,
    PRIMARY KEY (feed_id, seq)
);

CREATE TABLE delivery (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    account_id uuid NOT NULL,
    signal_id uuid NOT NULL,
    channel text NOT NULL,
    target text NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    queued_at bigint NOT NULL,
    not_before bigint NOT NULL,
    lease_until bigint NOT NULL DEFAULT 0,
    lease_token uuid,
    group_key text,
    last_error text,
    reply text,
    sent_at bigint,
    UNIQUE (signal_id, channel, target)
) WITH (fillfactor = 70);
COMMENT ON COLUMN delivery.lease_until IS '0 unless sending.';
COMMENT ON COLUMN delivery.lease_token IS 'Of the newest claim, also after its mark: so a mark can be repeated.';
CREATE INDEX delivery_due ON delivery (channel, greatest(not_before, lease_until), number)
    WHERE state IN ('queued', 'sending');
CREATE INDEX delivery_of_account ON delivery (account_id, number);
CREATE INDEX delivery_dead ON delivery (number) WHERE state = 'dead';

CREATE TABLE delivery_attempt (
    delivery_id uuid NOT NULL REFERENCES delivery ON DELETE CASCADE,
    attempt integer NOT NULL,
    account_id uuid NOT NULL,
    begun_at bigint NOT NULL,
    ended_at bigint,
    outcome text CHECK (outcome IN ('sent', 'retry', 'dead')),
    detail text,
    PRIMARY KEY (delivery_id, attempt)
);
COMMENT ON COLUMN delivery_attempt.outcome IS 'Null while it runs, and for ever when its lease was lost.';

-- A version 8 UUID, so that it needs no extension; the same delivery has the same id however often it is queued.
-- STABLE as its parts are, not STRICT: so it is inlined.
CREATE FUNCTION delivery_id(signal uuid, channel text, target text) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT overlay(overlay(
        left(encode(sha256(convert_to(signal::text || '/' || channel || '/' || target, 'UTF8')), 'hex'), 32)
        PLACING '8' FROM 13) PLACING '8' FROM 17)::uuid
$$;
