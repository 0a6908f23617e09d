-- Trades and quotes as hypertables. Within one unit of the venue's clock `ts` carries a tie-break:
-- ts = at + trade_id modulo the market's step.
CREATE TABLE trade (
    ts timestamptz NOT NULL,
    seen bigint NOT NULL,
    instrument_id integer NOT NULL,
    price float8 NOT NULL CHECK (price > 0 AND price < 1e15),
    size float8 NOT NULL CHECK (size >= 0 AND size < 1e18),
    side smallint NOT NULL,
    trade_id bigint NOT NULL,
    recv_ts timestamptz NOT NULL,
    flags smallint NOT NULL,
    ref text
);
SELECT create_hypertable('trade', 'ts', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
CREATE UNIQUE INDEX trade_identity ON trade (instrument_id, ts, trade_id);
CREATE INDEX trade_seen ON trade USING brin (seen) WITH (pages_per_range = 16, autosummarize = on);

CREATE TABLE quote (
    ts timestamptz NOT NULL,
    seen bigint NOT NULL,
    instrument_id integer NOT NULL,
    bid float8 NOT NULL CHECK (bid > 0 AND bid < 1e15),
    bid_size float8 NOT NULL CHECK (bid_size >= 0 AND bid_size < 1e18),
    ask float8 NOT NULL CHECK (ask > 0 AND ask < 1e15),
    ask_size float8 NOT NULL CHECK (ask_size >= 0 AND ask_size < 1e18),
    recv_ts timestamptz NOT NULL
);
SELECT create_hypertable('quote', 'ts', chunk_time_interval => INTERVAL '1 day', create_default_indexes => false);
CREATE UNIQUE INDEX quote_identity ON quote (instrument_id, ts, seen);
CREATE INDEX quote_seen ON quote USING brin (seen) WITH (pages_per_range = 16, autosummarize = on);

ALTER TABLE trade SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'instrument_id',
    timescaledb.compress_orderby = 'ts, trade_id'
);
SELECT add_compression_policy('trade', INTERVAL '2 days');
ALTER TABLE quote SET (
    timescaledb.compress,
    timescaledb.compress_segmentby = 'instrument_id',
    timescaledb.compress_orderby = 'ts, seen'
);
SELECT add_compression_policy('quote', INTERVAL '2 days');

-- By the time a chunk was made: what was imported yesterday stays, however old it is. The service sets its own spans.
SELECT add_retention_policy('trade', drop_created_before => INTERVAL '31 days');
SELECT add_retention_policy('quote', drop_created_before => INTERVAL '8 days');

-- Chunks make themselves.
CREATE FUNCTION make_days(parent text, days date[]) RETURNS void LANGUAGE sql AS $$ SELECT $$;

CREATE FUNCTION drop_days(parent text, cutoff timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    dropped integer;
BEGIN
    SELECT count(*) INTO dropped
    FROM drop_chunks(parent::regclass, created_before => cutoff - INTERVAL '1 day');
    RETURN dropped;
END $$;
