-- Candles of a minute read that minute's trades and no others, however much the day holds already.
CREATE INDEX trade_times ON trade USING brin (ts) WITH (pages_per_range = 16, autosummarize = on);

-- As before, but the planner may neither read a whole day nor sort: of rows this fresh it expects next to none.
CREATE OR REPLACE FUNCTION ohlcv_rollup(since timestamptz, until timestamptz) RETURNS void LANGUAGE plpgsql
SET work_mem = '64MB' SET enable_seqscan = off SET enable_sort = off AS $$
BEGIN
    INSERT INTO candle_1m AS old
    WITH counted AS MATERIALIZED (  -- before the join: the planner knows nothing of rows this fresh
        SELECT instrument_id, date_bin('1 minute', ts, 'epoch') AS bucket, max(price) AS high, min(price) AS low,
               sum(size) AS volume, count(*) AS trades, min(ts) AS first_ts, max(ts) AS last_ts
        FROM trade
        WHERE ts >= since AND ts < until AND (flags & 1) = 0
        GROUP BY 1, 2
    )
    SELECT m.id, m.bucket, first.price, m.high, m.low, last.price, m.volume, m.trades
    FROM (
        SELECT i.id, make_interval(secs => i.step / 1e6) AS unit, bucket, high, low, volume, trades,
               date_bin(make_interval(secs => i.step / 1e6), first_ts, 'epoch') AS first_at,
               date_bin(make_interval(secs => i.step / 1e6), last_ts, 'epoch') AS last_at
        FROM counted JOIN instrument i ON i.id = counted.instrument_id
    ) m CROSS JOIN LATERAL (
        SELECT price FROM trade
        WHERE instrument_id = m.id AND ts >= m.first_at AND ts < m.first_at + m.unit AND (flags & 1) = 0
        ORDER BY CASE WHEN ref IS NULL THEN trade_id ELSE 0 END, seen LIMIT 1
    ) first CROSS JOIN LATERAL (
        SELECT price FROM trade
        WHERE instrument_id = m.id AND ts >= m.last_at AND ts < m.last_at + m.unit AND (flags & 1) = 0
        ORDER BY CASE WHEN ref IS NULL THEN trade_id ELSE 0 END DESC, seen DESC LIMIT 1
    ) last
    ON CONFLICT (instrument_id, bucket) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, trades = excluded.trades
    WHERE excluded.trades > old.trades;

    INSERT INTO candle_1h AS old
    SELECT instrument_id, date_trunc('hour', bucket),
           (array_agg(open ORDER BY bucket))[1], max(high), min(low), (array_agg(close ORDER BY bucket DESC))[1],
           sum(volume), sum(trades)
    FROM candle_1m
    WHERE bucket >= date_trunc('hour', since) AND bucket < date_trunc('hour', until - INTERVAL '1 microsecond')
                                                             + INTERVAL '1 hour'
    GROUP BY 1, 2
    ON CONFLICT (instrument_id, bucket) DO UPDATE
    SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
        volume = excluded.volume, trades = excluded.trades
    WHERE excluded.trades > old.trades;
END $$;
