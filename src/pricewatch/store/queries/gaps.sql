-- name: declare
INSERT INTO gap (instrument_id, first_key, last_key, from_at, to_at, reason, opened_seen)
VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id;

-- name: close
UPDATE gap SET closed_seen = $2, filled_at = now(), closed_as = $3 WHERE id = $1 AND closed_seen IS NULL;

-- name: open
SELECT id, instrument_id, first_key, last_key, from_at, to_at, reason FROM gap WHERE closed_seen IS NULL ORDER BY id;

-- name: patched
SELECT instrument_id, first_key, last_key, from_at, to_at, reason FROM gap WHERE closed_as = 'candles'
ORDER BY id DESC LIMIT 10000;
