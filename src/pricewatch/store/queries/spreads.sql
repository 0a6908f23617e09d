-- name: counted_upto
SELECT max(bucket) + INTERVAL '1 hour' FROM spread_hour WHERE instrument_id = $1;

-- name: first_quote
SELECT ts FROM quote WHERE instrument_id = $1 ORDER BY ts LIMIT 1;

-- name: count
INSERT INTO spread_hour (instrument_id, bucket, spread, quotes)
SELECT $1, date_trunc('hour', ts), avg(200 * (ask - bid) / (ask + bid)), count(*)
FROM quote WHERE instrument_id = $1 AND ts >= $2 AND ts < $3 AND ask > bid
GROUP BY 2
ON CONFLICT (instrument_id, bucket) DO NOTHING;
