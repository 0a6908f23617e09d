-- Candles as continuous aggregates, the hours on top of the minutes. Suspect trades are left out.
CREATE MATERIALIZED VIEW candle_1m
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT instrument_id, time_bucket(INTERVAL '1 minute', ts) AS bucket,
       first(price, ts) AS open, max(price) AS high, min(price) AS low, last(price, ts) AS close,
       sum(size) AS volume, count(*) AS trades
FROM trade
WHERE (flags & 1) = 0
GROUP BY 1, 2
WITH NO DATA;
SELECT add_continuous_aggregate_policy('candle_1m', start_offset => INTERVAL '7 days',
                                       end_offset => INTERVAL '1 minute', schedule_interval => INTERVAL '30 seconds');

CREATE MATERIALIZED VIEW candle_1h
WITH (timescaledb.continuous, timescaledb.materialized_only = true) AS
SELECT instrument_id, time_bucket(INTERVAL '1 hour', bucket) AS bucket,
       first(open, bucket) AS open, max(high) AS high, min(low) AS low, last(close, bucket) AS close,
       sum(volume) AS volume, sum(trades)::bigint AS trades
FROM candle_1m
GROUP BY 1, 2
WITH NO DATA;
SELECT add_continuous_aggregate_policy('candle_1h', start_offset => INTERVAL '8 days',
                                       end_offset => INTERVAL '1 hour', schedule_interval => INTERVAL '5 minutes');

-- How far in the order data outside the policies' windows has been refreshed.
CREATE TABLE candle_cursor (one boolean PRIMARY KEY DEFAULT true CHECK (one), seen bigint NOT NULL);
INSERT INTO candle_cursor (seen) VALUES (0);
