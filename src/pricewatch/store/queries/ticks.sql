-- name: column_types
SELECT attname, atttypid::regtype::oid::regtype::text AS type FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum;

-- name: hold
SELECT shard_hold($1, $2);

-- name: make_days
SELECT make_days($1, $2::text[]::date[]);

-- name: drop_days
SELECT drop_days($1, $2);

-- name: flavour
SELECT flavour FROM schema_flavour;

-- name: candle_cursor
SELECT seen FROM candle_cursor;

-- name: lower_candle_cursor
UPDATE candle_cursor SET seen = $1 WHERE seen > $1;

-- name: move_candle_cursor
UPDATE candle_cursor SET seen = $2 WHERE seen = $1;

-- name: summarize
SELECT sum(brin_summarize_new_values(i.indexrelid::regclass))
FROM pg_inherits h JOIN pg_index i ON i.indrelid = h.inhrelid JOIN pg_class c ON c.oid = i.indexrelid
WHERE h.inhparent = 'trade'::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'brin');

-- name: newest_seen
SELECT max(seen) FROM trade WHERE seen > $1;

-- name: next_seen
SELECT min(seen) FROM trade WHERE seen > $1;

-- name: touched_minutes
SELECT DISTINCT date_bin('1 minute', ts, 'epoch') AS minute FROM trade WHERE seen > $1 AND seen <= $2 ORDER BY 1;

-- name: rollup
SELECT ohlcv_rollup($1, $2);
