-- name: save_snapshots
INSERT INTO model_snapshot AS old (instrument_id, model, schema, seen, payload)
SELECT DISTINCT ON (instrument_id, model) instrument_id, model, schema, seen, payload
FROM unnest($1::int[], $2::text[], $3::int[], $4::bigint[], $5::bytea[])
     AS fresh (instrument_id, model, schema, seen, payload)
ORDER BY instrument_id, model, seen DESC
ON CONFLICT (instrument_id, model) DO UPDATE
SET schema = excluded.schema, seen = excluded.seen, payload = excluded.payload
WHERE excluded.seen >= old.seen;

-- name: snapshots
SELECT instrument_id, model, schema, seen, payload FROM model_snapshot ORDER BY instrument_id, model;

-- name: save_forecast
-- One statement, and so one transaction: the version and its rows.
WITH saved AS (
    INSERT INTO model_version (version, instrument_id, model, trained_from, trained_to, rows_used, level, step, expires,
                               source)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (version) DO NOTHING
)
INSERT INTO forecast_row (version, at, centre, lower, upper)
SELECT $1, * FROM unnest($11::bigint[], $12::float8[], $13::float8[], $14::float8[])
ON CONFLICT (version, at) DO NOTHING;

-- name: activate
INSERT INTO model_activation (instrument_id, version, from_seen)
SELECT * FROM unnest($1::int[], $2::uuid[], $3::bigint[])
ON CONFLICT (instrument_id, from_seen) DO NOTHING;

-- name: active
SELECT instrument_id, version, from_seen FROM model_activation a
WHERE from_seen >= coalesce(
    (SELECT max(from_seen) FROM model_activation b WHERE b.instrument_id = a.instrument_id AND b.from_seen <= $1), $1)
ORDER BY from_seen, instrument_id;

-- name: newest
SELECT version FROM model_version WHERE instrument_id = $1 ORDER BY place DESC LIMIT 1;

-- name: versions
SELECT version, instrument_id AS market, model, trained_from, trained_to, rows_used, level, step, expires, source
FROM model_version WHERE version = ANY ($1::uuid[]);

-- name: rows
SELECT version, at, centre, lower, upper FROM forecast_row WHERE version = ANY ($1::uuid[]) ORDER BY version, at;

-- name: row
SELECT at, centre, lower, upper FROM forecast_row WHERE version = $1 AND at = $2;

-- name: bar_score
SELECT score FROM bar_score WHERE instrument_id = $1 AND at = $2;

-- name: count_alarms
SELECT instrument_id, count(*) FILTER (WHERE alarms <= $2 AND (before IS NULL OR before > $2)), count(*)
FROM (
    SELECT instrument_id, alarms, lag(alarms) OVER (PARTITION BY instrument_id ORDER BY at) AS before
    FROM bar_score WHERE instrument_id = ANY ($1::int[]) AND at >= $3 AND at < $4
) t
GROUP BY instrument_id ORDER BY instrument_id;

-- name: save_bar_scores
INSERT INTO bar_score AS old (instrument_id, at, score, model, seen, alarms)
SELECT DISTINCT ON (instrument_id, at) instrument_id, at, score, model, seen, alarms
FROM unnest($1::int[], $2::bigint[], $3::float8[], $4::text[], $5::bigint[], $6::float8[])
     AS fresh (instrument_id, at, score, model, seen, alarms)
ORDER BY instrument_id, at, score DESC
ON CONFLICT (instrument_id, at) DO UPDATE
SET score = excluded.score, model = excluded.model, seen = excluded.seen, alarms = excluded.alarms
WHERE excluded.score > old.score;

-- name: save_features
INSERT INTO bar_features AS old (instrument_id, at, document)
SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[])
ON CONFLICT (instrument_id) DO UPDATE SET at = excluded.at, document = excluded.document
WHERE excluded.at >= old.at;

-- name: features
SELECT document FROM bar_features WHERE instrument_id = $1;

-- name: forget
DELETE FROM model_version WHERE version IN (
    SELECT version FROM model_version v
    WHERE expires < $1
      AND EXISTS (SELECT FROM model_version n WHERE n.instrument_id = v.instrument_id AND n.place > v.place)
    ORDER BY expires LIMIT $2
);

-- name: thin
DELETE FROM forecast_row r
USING (
    SELECT version, lead(from_seen) OVER (PARTITION BY instrument_id ORDER BY from_seen) AS until
    FROM model_activation WHERE from_seen >= $1
) used
WHERE r.version = used.version AND r.at >= used.until + $2;
