-- Up to which venue time (microseconds since 1970) the stored trades of a market have been looked through for holes
-- that nobody declared.
CREATE TABLE audited (
    instrument_id integer PRIMARY KEY REFERENCES instrument (id),
    at bigint NOT NULL
);
INSERT INTO audited (instrument_id, at)
SELECT i.id, (extract(epoch FROM newest.ts) * 1000000)::bigint
FROM instrument i CROSS JOIN LATERAL (
    SELECT ts FROM trade WHERE instrument_id = i.id ORDER BY ts DESC LIMIT 1
) newest;
