-- name: choose
INSERT INTO market_choice (venue, symbol, wanted, account_id, at) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (venue, symbol) DO UPDATE SET
    wanted = excluded.wanted, account_id = excluded.account_id, at = excluded.at;

-- name: forget
WITH gone AS (
    DELETE FROM market_choice WHERE venue = $1 AND symbol = $2 RETURNING venue, symbol
)
INSERT INTO audit (at, actor, action, target)
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, $3, 'market.forget', venue || ':' || symbol FROM gone
RETURNING true;

-- name: choices
SELECT venue, symbol, wanted, account_id, at FROM market_choice ORDER BY venue, symbol;
