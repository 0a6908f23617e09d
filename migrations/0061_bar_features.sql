-- What is known of each market at its newest closed minute: for looking at; nothing is computed from it.
CREATE TABLE bar_features (
    instrument_id integer PRIMARY KEY REFERENCES instrument (id),
    at bigint NOT NULL,
    document bytea NOT NULL
);
