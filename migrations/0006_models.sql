-- What models leave behind. Times in microseconds since 1970.
CREATE TABLE model_snapshot (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    model text NOT NULL,
    schema integer NOT NULL,
    seen bigint NOT NULL,
    payload bytea NOT NULL,
    PRIMARY KEY (instrument_id, model)
);

CREATE TABLE model_version (
    version uuid PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY,
    instrument_id integer NOT NULL REFERENCES instrument (id),
    model text NOT NULL,
    trained_from bigint NOT NULL,
    trained_to bigint NOT NULL,
    rows_used integer NOT NULL,
    level float8 NOT NULL,
    step bigint NOT NULL,
    expires bigint NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX model_version_newest ON model_version (instrument_id, place DESC);

CREATE TABLE forecast_row (
    version uuid NOT NULL REFERENCES model_version (version) ON DELETE CASCADE,
    at bigint NOT NULL,
    centre float8 NOT NULL,
    lower float8 NOT NULL,
    upper float8 NOT NULL,
    PRIMARY KEY (version, at)
);

CREATE TABLE model_activation (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    from_seen bigint NOT NULL,
    version uuid NOT NULL REFERENCES model_version (version) ON DELETE CASCADE,
    PRIMARY KEY (instrument_id, from_seen)
);

CREATE TABLE bar_score (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    at bigint NOT NULL,
    score float8 NOT NULL,
    model text NOT NULL,
    seen bigint NOT NULL,
    PRIMARY KEY (instrument_id, at)
);
