-- name: append
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(
        $3::uuid[], $4::uuid[], $5::int[], $6::int[], $7::text[], $8::bigint[], $9::bigint[], $10::bytea[]
    ) WITH ORDINALITY AS g (id, rule, version, instrument, direction, at, seen, payload, n)
), fresh AS (
    INSERT INTO signal (
        id, account_id, rule_id, rule_version, instrument_id, direction, at, seen, payload, committed_at
    )
    SELECT id, $1, rule, version, instrument, direction, at, seen, payload, $2 FROM given
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), numbered AS (
    SELECT given.id, n, row_number() OVER (ORDER BY n) AS nth FROM given JOIN fresh ON fresh.id = given.id
), moved AS (
    UPDATE feed SET seq = feed.seq + grown.by
    FROM (SELECT count(*) AS by FROM numbered) AS grown
    WHERE feed_id = $1 AND grown.by > 0
    RETURNING epoch, feed.seq - grown.by AS base
), placed AS (
    INSERT INTO feed_entry (feed_id, seq, signal_id) SELECT $1, base + nth, id FROM numbered CROSS JOIN moved
), owed AS (
    INSERT INTO delivery (id, account_id, signal_id, channel, target, queued_at, not_before)
    SELECT delivery_id(numbered.id, 'email', email), account.id, numbered.id, 'email', email, $2, $2
    FROM numbered CROSS JOIN account
    WHERE $11::boolean AND account.role = 'admin' AND email <> ''
    ORDER BY n, account.number
    ON CONFLICT DO NOTHING
)
SELECT id, epoch, base + nth AS seq FROM numbered CROSS JOIN moved ORDER BY n;

-- name: standing
SELECT DISTINCT ON (rule_id, instrument_id) payload FROM signal
WHERE account_id = $1 AND rule_id = ANY ($2)
ORDER BY rule_id, instrument_id, seen DESC, direction;
