-- Declared holes in a market's trades: inclusive keys, venue times in microseconds since 1970.
CREATE TABLE gap (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instrument_id integer NOT NULL REFERENCES instrument (id),
    first_key bigint NOT NULL,
    last_key bigint NOT NULL,
    from_at bigint NOT NULL,
    to_at bigint NOT NULL,
    reason text NOT NULL,
    opened_seen bigint NOT NULL,
    closed_seen bigint,
    declared_at timestamptz NOT NULL DEFAULT now(),
    filled_at timestamptz
);
CREATE INDEX gap_open ON gap (instrument_id) WHERE closed_seen IS NULL;
