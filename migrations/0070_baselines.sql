-- Versions of baselines, which one is in use, what became of them, and what they foretell. Times in microseconds since 1970.
CREATE TABLE baseline (
    version uuid PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY,
    instrument_id integer NOT NULL REFERENCES instrument (id),
    kind text NOT NULL,
    model text NOT NULL,
    trained_from bigint NOT NULL,
    trained_to bigint NOT NULL,
    rows_used integer NOT NULL,
    step bigint NOT NULL,
    parameters jsonb NOT NULL,
    libraries jsonb NOT NULL,
    metrics jsonb NOT NULL,
    rival uuid,
    rival_metrics jsonb,
    won boolean NOT NULL,
    object text NOT NULL,
    sha256 text NOT NULL,
    mac text NOT NULL,
    size integer NOT NULL,
    created bigint NOT NULL
);
CREATE INDEX baseline_newest ON baseline (instrument_id, kind, place DESC);
CREATE INDEX baseline_place ON baseline (place DESC);

CREATE TABLE baseline_pointer (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    kind text NOT NULL,
    version uuid NOT NULL REFERENCES baseline (version),
    since bigint NOT NULL,
    pinned boolean NOT NULL,
    PRIMARY KEY (instrument_id, kind)
);

CREATE TABLE outlook (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    kind text NOT NULL,
    version uuid NOT NULL,
    origin bigint NOT NULL,
    document bytea NOT NULL,
    PRIMARY KEY (instrument_id, kind)
);

-- Which registered version the rows of a forecast come from; rows are made anew more often than versions change.
ALTER TABLE model_version ADD COLUMN source uuid;

-- What happened to models. Rows are only ever added.
CREATE TABLE model_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    what text NOT NULL,
    actor text NOT NULL,
    instrument_id integer,
    kind text,
    version uuid,
    previous uuid,
    detail jsonb NOT NULL
);
CREATE INDEX model_event_market ON model_event (instrument_id, id DESC);

CREATE FUNCTION model_event_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'model_event is append-only';
END $$;
CREATE TRIGGER model_event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON model_event
    FOR EACH STATEMENT EXECUTE FUNCTION model_event_is_append_only();
