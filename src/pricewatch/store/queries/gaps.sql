-- name: declare
INSERT INTO gap (instrument_id, first_key, last_key, from_at, to_at, reason, opened_seen)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (instrument_id, opened_seen, first_key, from_at) DO UPDATE SET reason = excluded.reason
RETURNING id, (SELECT venue FROM instrument WHERE instrument.id = $1), (SELECT symbol FROM instrument WHERE id = $1);

-- name: close
UPDATE gap SET closed_seen = $2, filled_at = now(), closed_as = $3
FROM instrument AS i WHERE gap.id = $1 AND closed_seen IS NULL AND i.id = instrument_id
RETURNING venue, symbol, instrument_id, first_key, last_key, from_at, to_at, reason;

-- name: open
SELECT id, instrument_id, first_key, last_key, from_at, to_at, reason FROM gap WHERE closed_seen IS NULL ORDER BY id;

-- name: patched
SELECT instrument_id, first_key, last_key, from_at, to_at, reason FROM gap WHERE closed_as = 'candles'
ORDER BY id DESC LIMIT 10000;

-- name: after
SELECT id, opened_seen, closed_seen, closed_as, instrument_id, first_key, last_key, from_at, to_at, reason FROM gap
WHERE ($1::int[] IS NULL OR instrument_id = ANY ($1)) AND ($2::boolean IS NULL OR $2 = (closed_seen IS NULL))
  AND opened_seen >= $3 AND id > $4
ORDER BY id LIMIT $5;

-- name: newest
SELECT id, opened_seen, closed_seen, closed_as, instrument_id, first_key, last_key, from_at, to_at, reason FROM gap
WHERE ($1::int[] IS NULL OR instrument_id = ANY ($1)) AND ($2::boolean IS NULL OR $2 = (closed_seen IS NULL))
  AND opened_seen >= $3 AND ($4::bigint IS NULL OR id < $4)
ORDER BY id DESC LIMIT $5;

-- name: totals
SELECT count(*) FILTER (WHERE closed_seen IS NULL), count(*) FILTER (WHERE closed_as = 'filled'),
       count(*) FILTER (WHERE closed_as = 'candles'), min(opened_seen) FILTER (WHERE closed_seen IS NULL)
FROM gap;
