-- name: register
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) AS w (venue, symbol, native, step)
)
INSERT INTO instrument (venue, symbol, native, step)
SELECT DISTINCT ON (venue, symbol) venue, symbol, native, step FROM wanted w
WHERE NOT EXISTS (SELECT FROM instrument i WHERE i.venue = w.venue AND i.symbol = w.symbol)
ON CONFLICT (venue, symbol) DO NOTHING;

-- name: rename
UPDATE instrument i SET native = w.native
FROM unnest($1::text[], $2::text[], $3::text[]) AS w (venue, symbol, native)
WHERE i.venue = w.venue AND i.symbol = w.symbol AND i.native <> w.native;

-- name: instruments
SELECT id, venue, symbol, native, step FROM instrument ORDER BY id;

-- name: summarize
SELECT sum(brin_summarize_new_values(i.indexrelid::regclass))
FROM pg_inherits h JOIN pg_index i ON i.indrelid = h.inhrelid JOIN pg_class c ON c.oid = i.indexrelid
WHERE h.inhparent = 'trade'::regclass AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'brin');

-- name: newest_seen
SELECT max(seen) FROM trade WHERE seen > $1 AND ($2::bigint IS NULL OR seen <= $2);

-- name: read_all
SELECT ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags, ref FROM trade
WHERE seen > $1 AND seen <= $2
ORDER BY seen, instrument_id LIMIT $3;

-- name: read_market
SELECT ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags, ref FROM trade
WHERE seen > $1 AND seen <= $2 AND instrument_id = $4
ORDER BY seen LIMIT $3;

-- name: read_at
SELECT ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags, ref FROM trade
WHERE seen = $1
ORDER BY instrument_id;

-- name: last
SELECT t.* FROM instrument i CROSS JOIN LATERAL (
    SELECT * FROM (
        SELECT ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags, ref FROM trade
        WHERE instrument_id = i.id AND seen <= $1 AND (flags & 5) = 0
        ORDER BY ts DESC, trade_id DESC LIMIT 256
    ) newest
    ORDER BY seen DESC LIMIT 1
) t;

-- name: recent
SELECT t.* FROM unnest($1::int[]) AS i (id) CROSS JOIN LATERAL (
    SELECT ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags, ref FROM trade
    WHERE instrument_id = i.id
    ORDER BY ts DESC, trade_id DESC LIMIT $2
) t
ORDER BY seen, instrument_id;

-- name: trades
SELECT ts, seen, instrument_id, price, size, side, trade_id, recv_ts, flags, ref FROM trade
WHERE instrument_id = $1 AND ts >= $2 AND ts < $3
ORDER BY ts, trade_id LIMIT $4;

-- name: marks
-- By time ids come slightly out of order: what is read reaches ten seconds below the edge from which holes count.
WITH edges AS MATERIALIZED (
    SELECT i.id, coalesce((
        SELECT ts FROM trade WHERE instrument_id = i.id ORDER BY ts DESC, trade_id DESC OFFSET 4999 LIMIT 1
    ), '-infinity') AS edge
    FROM unnest($1::int[]) AS i (id)
), newest AS (
    SELECT e.id, e.edge, t.* FROM edges e CROSS JOIN LATERAL (
        SELECT ts, trade_id, ref FROM trade WHERE instrument_id = e.id AND ts >= e.edge - INTERVAL '10 seconds'
    ) t
), steps AS (
    SELECT id, trade_id, ts >= edge AS counts,
           lead(trade_id) OVER (PARTITION BY id ORDER BY trade_id) AS following
    FROM newest
), holes AS (
    SELECT id, array_agg(trade_id + 1 ORDER BY trade_id) AS firsts, array_agg(following - 1 ORDER BY trade_id) AS lasts
    FROM steps WHERE counts AND following > trade_id + 1 GROUP BY id
), tops AS (
    SELECT DISTINCT ON (id) id, trade_id, ts FROM newest ORDER BY id, trade_id DESC
), hashed AS (
    SELECT id, bool_or(ref IS NOT NULL) AS is_hashed, max(ts) AS ts FROM newest GROUP BY id
)
SELECT tops.id, tops.trade_id, CASE WHEN is_hashed THEN hashed.ts ELSE tops.ts END AS ts,
       CASE WHEN is_hashed THEN NULL ELSE firsts END AS firsts, CASE WHEN is_hashed THEN NULL ELSE lasts END AS lasts
FROM tops JOIN hashed USING (id) LEFT JOIN holes USING (id);

-- name: candles_1s
SELECT date_trunc('second', ts) AS bucket,
       (array_agg(price ORDER BY at, place, seen))[1] AS open, max(price) AS high, min(price) AS low,
       (array_agg(price ORDER BY at DESC, place DESC, seen DESC))[1] AS close, sum(size) AS volume, count(*) AS trades
FROM (
    SELECT ts, seen, price, size, date_bin(make_interval(secs => $5 / 1e6), ts, 'epoch') AS at,
           CASE WHEN ref IS NULL THEN trade_id ELSE 0 END AS place
    FROM trade
    WHERE instrument_id = $1 AND (flags & 1) = 0 AND ts >= $2 AND ts < $3
) t
GROUP BY 1 ORDER BY 1 LIMIT $4;

-- name: candles_1m
WITH own AS (
    SELECT bucket, open, high, low, close, volume, trades FROM candle_1m
    WHERE instrument_id = $1 AND bucket >= $2 AND bucket < $3
), fresh AS (
    SELECT date_trunc('minute', ts) AS bucket,
           (array_agg(price ORDER BY at, place, seen))[1] AS open, max(price) AS high, min(price) AS low,
           (array_agg(price ORDER BY at DESC, place DESC, seen DESC))[1] AS close, sum(size) AS volume,
           count(*) AS trades
    FROM (
        SELECT ts, seen, price, size, date_bin(make_interval(secs => $5 / 1e6), ts, 'epoch') AS at,
               CASE WHEN ref IS NULL THEN trade_id ELSE 0 END AS place
        FROM trade
        WHERE instrument_id = $1 AND (flags & 1) = 0 AND ts < $3
          AND ts >= greatest($2, coalesce((SELECT max(bucket) FROM candle_1m WHERE instrument_id = $1), $2))
    ) t
    GROUP BY 1
), ours AS (
    SELECT * FROM fresh
    UNION ALL
    SELECT * FROM own WHERE NOT EXISTS (SELECT FROM fresh WHERE fresh.bucket = own.bucket)
), merged AS (
    SELECT * FROM ours
    UNION ALL
    SELECT bucket, open, high, low, close, volume, trades FROM venue_candle v
    WHERE instrument_id = $1 AND bucket >= $2 AND bucket < $3
      AND NOT EXISTS (SELECT FROM ours WHERE ours.bucket = v.bucket)
)
SELECT * FROM merged ORDER BY bucket LIMIT $4;

-- name: candles_1h
SELECT bucket, open, high, low, close, volume, trades FROM candle_1h
WHERE instrument_id = $1 AND bucket >= $2 AND bucket < $3
ORDER BY bucket LIMIT $4;

-- name: whole_hours_upto
SELECT least(
    (SELECT max(bucket) FROM candle_1h WHERE instrument_id = $1 AND bucket < $3),
    (SELECT min(bucket) FROM venue_candle WHERE instrument_id = $1 AND bucket >= $2 AND bucket < $3)
);

-- name: import_candles
INSERT INTO venue_candle (instrument_id, bucket, open, high, low, close, volume, trades)
SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::float8[], $4::float8[], $5::float8[], $6::float8[],
                     $7::float8[], $8::bigint[])
ON CONFLICT (instrument_id, bucket) DO NOTHING;
