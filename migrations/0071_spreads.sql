-- The mean distance between best bid and ask by hour, in per cent of their middle: quotes themselves are many, and go.
CREATE TABLE spread_hour (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    bucket timestamptz NOT NULL,
    spread float8 NOT NULL,
    quotes integer NOT NULL,
    PRIMARY KEY (instrument_id, bucket)
);
