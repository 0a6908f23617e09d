-- name: columns
-- `rows` stands for a query; what it finds comes back as one row, however many there are.
SELECT string_agg(int8send((extract(epoch FROM bucket) * 1000000)::bigint), NULL ORDER BY bucket) AS at,
       string_agg(float8send(high), NULL ORDER BY bucket) AS high,
       string_agg(float8send(low), NULL ORDER BY bucket) AS low,
       string_agg(float8send(close), NULL ORDER BY bucket) AS close,
       string_agg(float8send(volume), NULL ORDER BY bucket) AS volume
FROM (rows) found;

-- name: in_hours
SELECT date_trunc('hour', bucket) AS bucket, max(high) AS high, min(low) AS low,
       (array_agg(close ORDER BY bucket DESC))[1] AS close, sum(volume ORDER BY bucket) AS volume
FROM (rows) minutes
GROUP BY 1;

-- name: spreads
SELECT bucket, spread AS high, spread AS low, spread AS close, quotes::float8 AS volume FROM spread_hour
WHERE instrument_id = $1 AND bucket >= $2 AND bucket < $3;
