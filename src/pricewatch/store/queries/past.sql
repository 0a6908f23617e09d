-- name: instruments
SELECT id, venue, symbol, native, step FROM instrument ORDER BY id;

-- name: first
SELECT min(ts) FROM trade WHERE instrument_id = $1;

-- name: settled
-- Up to where in the order the candles have counted every trade: a little less than they say, as others store late.
SELECT least(
    (SELECT seen FROM candle_cursor) - 60000000,
    (SELECT min(cursor_seen) FROM shard WHERE cursor_seen > 0) - 300000000
);

-- name: unsettled
-- By place alone: the planner must not think of reading a whole month of one market instead.
WITH fresh AS MATERIALIZED (
    SELECT instrument_id, date_bin('1 minute', ts, 'epoch') AS bucket FROM trade WHERE seen > $2
)
SELECT DISTINCT bucket FROM fresh WHERE instrument_id = $1 AND bucket >= $3 AND bucket < $4 ORDER BY 1;

-- name: minutes
SELECT
    array_agg(date_part('epoch', bucket)::bigint ORDER BY bucket) AS starts,
    array_agg(low ORDER BY bucket) AS lows,
    array_agg(high ORDER BY bucket) AS highs
FROM candle_1m WHERE instrument_id = $1 AND bucket >= $2 AND bucket < $3;

-- name: recount
WITH counted AS (
    SELECT date_bin('1 minute', ts, 'epoch') AS bucket, min(price) AS low, max(price) AS high FROM trade
    WHERE instrument_id = $1 AND ts >= $2 AND ts < $3 AND (flags & 1) = 0
    GROUP BY 1
)
SELECT
    array_agg(date_part('epoch', bucket)::bigint) AS starts, array_agg(low) AS lows, array_agg(high) AS highs
FROM counted;

-- name: trades
-- Times as plain numbers, which cost the reader less; a float of seconds has every microsecond of this century and the next.
SELECT
    (date_part('epoch', ts) * 1e6)::bigint AS ts, seen, price, size, side, trade_id,
    (date_part('epoch', recv_ts) * 1e6)::bigint AS recv_ts, flags, ref
FROM trade
WHERE instrument_id = $1 AND ts >= $2 AND ts < $3 AND (ts, trade_id) > ($2, $4)
ORDER BY trade.ts, trade_id LIMIT $5;

-- name: quotes
SELECT ts, seen, instrument_id, bid, bid_size, ask, ask_size, recv_ts FROM quote
WHERE instrument_id = $1 AND ts >= $2 AND ts < $3 AND (ts, seen) > ($2, $4)
ORDER BY ts, seen LIMIT $5;

-- name: scores
SELECT instrument_id, at, score, model, seen, alarms FROM bar_score
WHERE instrument_id = $1 AND at >= $2 AND at < $3 ORDER BY at;

-- name: activations
SELECT instrument_id, version, from_seen FROM model_activation
WHERE instrument_id = $1 AND from_seen < $3 AND from_seen >= coalesce(
    (SELECT max(from_seen) FROM model_activation WHERE instrument_id = $1 AND from_seen <= $2), $2)
ORDER BY from_seen;
