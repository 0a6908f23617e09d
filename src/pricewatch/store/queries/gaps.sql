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

-- name: audit_span
SELECT coalesce((SELECT at FROM audited WHERE instrument_id = $1), -1) AS reached,
       (SELECT ts FROM trade WHERE instrument_id = $1 ORDER BY ts LIMIT 1) AS first,
       (SELECT ts FROM trade WHERE instrument_id = $1 AND seen <= $2 ORDER BY ts DESC LIMIT 1) AS last;

-- name: audit_holes
WITH keys AS (
    SELECT trade_id, ts, lead(trade_id) OVER numbered AS following, lead(ts) OVER numbered AS until FROM trade
    WHERE instrument_id = $1 AND ts >= $2 AND ts < $4 AND ref IS NULL
    WINDOW numbered AS (ORDER BY trade_id)
)
SELECT trade_id + 1 AS first, following - 1 AS last, ts, until FROM keys
WHERE following > trade_id + 1 AND until >= $3 AND until < $5
ORDER BY trade_id;

-- name: audit_known
SELECT first_key, last_key FROM gap
WHERE instrument_id = $1 AND last_key >= $2 AND first_key <= $3 AND closed_as IS DISTINCT FROM 'filled';

-- name: audit_reached
INSERT INTO audited (instrument_id, at) VALUES ($1, $2)
ON CONFLICT (instrument_id) DO UPDATE SET at = greatest(audited.at, excluded.at);
