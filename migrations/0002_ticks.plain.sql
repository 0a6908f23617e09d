-- Trades and quotes on plain PostgreSQL: native daily partitions, made on demand and ahead, never a default one.
-- Within one unit of the venue's clock `ts` carries a tie-break: ts = at + trade_id modulo the market's step.
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
) PARTITION BY RANGE (ts);
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
) PARTITION BY RANGE (ts);
CREATE UNIQUE INDEX quote_identity ON quote (instrument_id, ts, seen);
CREATE INDEX quote_seen ON quote USING brin (seen) WITH (pages_per_range = 16, autosummarize = on);

-- Attached, not created in place: that would lock out readers and writers of the whole table.
CREATE FUNCTION make_days(parent text, days date[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    day date;
    part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('make_days'));
    FOREACH day IN ARRAY days LOOP
        part := parent || '_' || to_char(day, 'YYYYMMDD');
        IF to_regclass(quote_ident(part)) IS NULL THEN
            EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', part, parent);
            EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part,
                           day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
        END IF;
    END LOOP;
END $$;

-- Days of which nothing was seen or received since `cutoff`; what was imported yesterday stays, however old it is.
CREATE FUNCTION drop_days(parent text, cutoff timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    part regclass;
    last_seen bigint;
    last_received timestamptz;
    dropped integer := 0;
BEGIN
    FOR part IN
        SELECT inhrelid::regclass FROM pg_inherits
        WHERE inhparent = parent::regclass
          AND inhrelid::regclass::text < parent || '_' || to_char(cutoff AT TIME ZONE 'UTC', 'YYYYMMDD')
        ORDER BY inhrelid::regclass::text
    LOOP
        EXECUTE format('SELECT max(seen), max(recv_ts) FROM %s', part) INTO last_seen, last_received;
        IF greatest(last_seen, 0) < extract(epoch FROM cutoff) * 1000000
           AND (last_received IS NULL OR last_received < cutoff) THEN
            EXECUTE format('DROP TABLE %s', part);
            dropped := dropped + 1;
        END IF;
    END LOOP;
    RETURN dropped;
END $$;
