-- name: head
SELECT epoch, seq FROM feed WHERE feed_id = $1;

-- name: read
SELECT feed.feed_id, feed.epoch, entry.seq, signal.payload, signal.committed_at
FROM feed_entry AS entry
JOIN feed ON feed.feed_id = entry.feed_id
JOIN signal ON signal.id = entry.signal_id
WHERE entry.feed_id = $1 AND entry.seq > $2
ORDER BY entry.seq
LIMIT $3;

-- name: latest
SELECT feed.feed_id, feed.epoch, entry.seq, signal.payload, signal.committed_at
FROM feed_entry AS entry
JOIN feed ON feed.feed_id = entry.feed_id
JOIN signal ON signal.id = entry.signal_id
WHERE entry.feed_id = $1 AND entry.seq < $2
ORDER BY entry.seq DESC
LIMIT $3;

-- name: get
SELECT feed.feed_id, feed.epoch, entry.seq, signal.payload, signal.committed_at
FROM feed_entry AS entry
JOIN feed ON feed.feed_id = entry.feed_id
JOIN signal ON signal.id = entry.signal_id
WHERE entry.feed_id = $1 AND entry.signal_id = $2;

-- name: place_before
WITH RECURSIVE ends AS (
    SELECT
        coalesce((SELECT min(seq) FROM feed_entry WHERE feed_id = $1), coalesce(max(feed.seq), 0) + 1) AS low,
        coalesce(max(feed.seq), 0) + 1 AS high
    FROM feed WHERE feed_id = $1
), halved AS (
    SELECT low, high FROM ends
    UNION ALL
    SELECT
        CASE WHEN tried.before THEN (low + high) / 2 + 1 ELSE low END,
        CASE WHEN tried.before THEN high ELSE (low + high) / 2 END
    FROM halved
    CROSS JOIN LATERAL (
        SELECT signal.committed_at < $2 AS before
        FROM feed_entry AS entry JOIN signal ON signal.id = entry.signal_id
        WHERE entry.feed_id = $1 AND entry.seq >= (low + high) / 2
        ORDER BY entry.seq
        LIMIT 1
    ) AS tried
    WHERE low < high
)
SELECT max(low) - 1 FROM halved WHERE low >= high;
