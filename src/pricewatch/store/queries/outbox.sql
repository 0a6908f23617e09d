-- name: claim
WITH due AS (
    SELECT id, greatest(not_before, lease_until) AS since FROM delivery
    WHERE channel = $1 AND state IN ('queued', 'sending') AND greatest(not_before, lease_until) <= $2
    ORDER BY greatest(not_before, lease_until), number
    LIMIT $3
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE delivery SET state = 'sending', attempts = attempts + 1, lease_until = $4, lease_token = $5
    FROM due WHERE delivery.id = due.id
    RETURNING
        delivery.id, number, account_id, signal_id, channel, target, attempts, queued_at, lease_token, since
), begun AS (
    INSERT INTO delivery_attempt (delivery_id, attempt, account_id, begun_at)
    SELECT id, attempts, account_id, $2 FROM taken
)
SELECT
    taken.id, taken.account_id, channel, target, attempts, queued_at, lease_token, payload,
    entry.feed_id, entry.seq, feed.epoch, signal.committed_at
FROM taken
JOIN signal ON signal.id = taken.signal_id
LEFT JOIN feed_entry AS entry ON entry.signal_id = taken.signal_id
LEFT JOIN feed ON feed.feed_id = entry.feed_id
ORDER BY since, taken.number;

-- name: claim_apart
-- As `claim`, but at most $6 of each target, and none of those in $7. The targets are hopped through by index.
WITH RECURSIVE hop AS (
    (
        SELECT target FROM delivery WHERE channel = $1 AND state IN ('queued', 'sending') ORDER BY target LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT target FROM delivery
        WHERE channel = $1 AND state IN ('queued', 'sending') AND target > hop.target
        ORDER BY target LIMIT 1
    )
    FROM hop WHERE hop.target IS NOT NULL
), due AS (
    SELECT one.id, one.since
    FROM hop
    CROSS JOIN LATERAL (
        SELECT id, number, greatest(not_before, lease_until) AS since FROM delivery
        WHERE channel = $1 AND target = hop.target AND state IN ('queued', 'sending')
            AND greatest(not_before, lease_until) <= $2
        ORDER BY greatest(not_before, lease_until), number
        LIMIT $6
        FOR UPDATE SKIP LOCKED
    ) AS one
    WHERE hop.target <> ALL ($7::text[])
    ORDER BY one.since, one.number
    LIMIT $3
), taken AS (
    UPDATE delivery SET state = 'sending', attempts = attempts + 1, lease_until = $4, lease_token = $5
    FROM due WHERE delivery.id = due.id
    RETURNING
        delivery.id, number, account_id, signal_id, channel, target, attempts, queued_at, lease_token, since
), begun AS (
    INSERT INTO delivery_attempt (delivery_id, attempt, account_id, begun_at)
    SELECT id, attempts, account_id, $2 FROM taken
)
SELECT
    taken.id, taken.account_id, channel, target, attempts, queued_at, lease_token, payload,
    entry.feed_id, entry.seq, feed.epoch, signal.committed_at
FROM taken
JOIN signal ON signal.id = taken.signal_id
LEFT JOIN feed_entry AS entry ON entry.signal_id = taken.signal_id
LEFT JOIN feed ON feed.feed_id = entry.feed_id
ORDER BY since, taken.number;

-- name: sent
WITH marked AS (
    UPDATE delivery SET state = 'sent', reply = $3, sent_at = $4, lease_until = 0
    WHERE id = $1 AND lease_token = $2 AND state IN ('sending', 'sent')
    RETURNING id, attempts
)
UPDATE delivery_attempt AS a SET outcome = 'sent', detail = $3, ended_at = $4
FROM marked WHERE a.delivery_id = marked.id AND a.attempt = marked.attempts
RETURNING true;

-- name: retry
WITH marked AS (
    UPDATE delivery SET state = 'queued', last_error = $3, not_before = $5, lease_until = 0
    WHERE id = $1 AND lease_token = $2 AND state IN ('sending', 'queued')
    RETURNING id, attempts
)
UPDATE delivery_attempt AS a SET outcome = 'retry', detail = $3, ended_at = $4
FROM marked WHERE a.delivery_id = marked.id AND a.attempt = marked.attempts
RETURNING true;

-- name: dead
WITH marked AS (
    UPDATE delivery SET state = 'dead', last_error = $3, lease_until = 0
    WHERE id = $1 AND lease_token = $2 AND state IN ('sending', 'dead')
    RETURNING id, attempts
)
UPDATE delivery_attempt AS a SET outcome = 'dead', detail = $3, ended_at = $4
FROM marked WHERE a.delivery_id = marked.id AND a.attempt = marked.attempts
RETURNING true;

-- name: expire
WITH gone AS (
    UPDATE delivery SET state = 'dead', last_error = $4, lease_until = 0
    WHERE channel = $1 AND target = ANY ($2::text[]) AND state = 'queued' AND queued_at < $3
    RETURNING id
)
SELECT count(*) FROM gone;

-- name: revive
UPDATE delivery SET state = 'queued', not_before = $2, lease_token = NULL
WHERE id = $1 AND (state = 'dead' OR ($3::uuid IS NOT NULL AND state = 'sent')) AND ($3 IS NULL OR account_id = $3)
RETURNING id;

-- name: listing
SELECT id, signal_id, channel, target, state, attempts, queued_at, not_before, sent_at, last_error
FROM delivery
WHERE
    ($1::uuid IS NULL OR account_id = $1) AND ($2::text IS NULL OR state = $2)
    AND ($4::uuid IS NULL OR number < (SELECT number FROM delivery WHERE id = $4))
    AND ($5::uuid IS NULL OR signal_id = $5)
ORDER BY number DESC
LIMIT $3;

-- name: get
SELECT id, signal_id, channel, target, state, attempts, queued_at, not_before, sent_at, last_error
FROM delivery WHERE account_id = $1 AND id = $2;

-- name: attempts
SELECT attempt, begun_at, ended_at, outcome, detail FROM delivery_attempt WHERE delivery_id = $1 ORDER BY attempt;

-- name: counts
SELECT state, count(*) AS deliveries FROM delivery GROUP BY state;
