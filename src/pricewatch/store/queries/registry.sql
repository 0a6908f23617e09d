-- name: register
-- One statement, and so one transaction: the version, the pointer to it where there is one, and the event.
WITH saved AS (
    INSERT INTO baseline (version, instrument_id, kind, model, trained_from, trained_to, rows_used, step, parameters,
                          libraries, metrics, rival, rival_metrics, won, object, sha256, mac, size, created)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
), pointed AS (
    INSERT INTO baseline_pointer (instrument_id, kind, version, since, pinned)
    SELECT $20::int, $21::text, $22::uuid, $23::bigint, $24::boolean WHERE $22::uuid IS NOT NULL
    ON CONFLICT (instrument_id, kind) DO UPDATE
    SET version = excluded.version, since = excluded.since, pinned = excluded.pinned
)
INSERT INTO model_event (at, what, actor, instrument_id, kind, version, previous, detail)
VALUES ($25, $26, $27, $28, $29, $30, $31, $32);

-- name: point
INSERT INTO baseline_pointer (instrument_id, kind, version, since, pinned) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (instrument_id, kind) DO UPDATE
SET version = excluded.version, since = excluded.since, pinned = excluded.pinned;

-- name: note
INSERT INTO model_event (at, what, actor, instrument_id, kind, version, previous, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: pointers
SELECT instrument_id, kind, version, since, pinned FROM baseline_pointer
WHERE since >= $1
ORDER BY instrument_id, kind;

-- name: baseline
SELECT b.* FROM baseline b
WHERE b.version = $1 OR b.version = (SELECT source FROM model_version WHERE version = $1)
ORDER BY b.version = $1 DESC LIMIT 1;

-- name: baselines
SELECT * FROM baseline
WHERE ($1::int[] IS NULL OR instrument_id = ANY ($1)) AND ($2::text IS NULL OR kind = $2)
  AND ($3::bigint IS NULL OR place < $3)
ORDER BY place DESC LIMIT $4;

-- name: predecessor
SELECT previous FROM model_event
WHERE instrument_id = $1 AND kind = $2 AND version = $3 AND what IN ('promoted', 'chosen')
ORDER BY id DESC LIMIT 1;

-- name: events
SELECT id, at, what, actor, instrument_id, kind, version, previous, detail FROM model_event
WHERE ($1::int[] IS NULL OR instrument_id = ANY ($1)) AND ($2::text IS NULL OR kind = $2)
  AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4;

-- name: save_outlook
INSERT INTO outlook (instrument_id, kind, version, origin, document) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (instrument_id, kind) DO UPDATE
SET version = excluded.version, origin = excluded.origin, document = excluded.document;

-- name: outlooks
SELECT document FROM outlook WHERE instrument_id = ANY ($1::int[]) AND kind = $2 ORDER BY instrument_id;

-- name: prune
DELETE FROM baseline b
USING (
    SELECT version, row_number() OVER (PARTITION BY instrument_id, kind ORDER BY place DESC) AS rank FROM baseline
) ranked
WHERE ranked.version = b.version AND ranked.rank > $1
  AND NOT EXISTS (SELECT FROM baseline_pointer p WHERE p.version = b.version)
  AND NOT EXISTS (SELECT FROM model_event e WHERE e.version = b.version AND e.what IN ('chosen', 'rolled_back'))
  AND NOT EXISTS (
      SELECT FROM model_event e JOIN baseline_pointer p ON p.version = e.version
      WHERE e.previous = b.version AND e.what IN ('promoted', 'chosen'))
RETURNING b.object;
