-- name: cursor
SELECT cursor_seen FROM shard WHERE shard = $1;

-- name: beyond
SELECT EXISTS (SELECT FROM trade WHERE seen > $1);

-- name: taken
SELECT seen FROM trade WHERE seen >= $1 AND seen <= $2;

-- name: known
SELECT date_bin(make_interval(secs => $4 / 1e6), ts, 'epoch') AS at, trade_id FROM trade
WHERE instrument_id = $1 AND ts >= $2 AND ts < $3;

-- name: pass_over
INSERT INTO shard (shard, owner, term, cursor_seen) VALUES ($1, '', 0, $2)
ON CONFLICT (shard) DO UPDATE SET cursor_seen = greatest(shard.cursor_seen, excluded.cursor_seen);
