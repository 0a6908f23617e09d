-- name: feeds
SELECT feed_id FROM feed WHERE seq > 0;

-- name: forget
WITH front AS (
    SELECT entry.seq, entry.signal_id, signal.committed_at
    FROM feed_entry AS entry JOIN signal ON signal.id = entry.signal_id
    WHERE entry.feed_id = $1
    ORDER BY entry.seq
    LIMIT $3
), kept AS (
    SELECT min(seq) AS first FROM front WHERE committed_at >= $2
), gone AS (
    DELETE FROM feed_entry AS entry USING front, kept
    WHERE entry.feed_id = $1 AND entry.seq = front.seq AND (kept.first IS NULL OR front.seq < kept.first)
    RETURNING entry.signal_id
), dropped AS (
    DELETE FROM signal USING gone
    WHERE signal.id = gone.signal_id
        AND NOT EXISTS (SELECT FROM delivery WHERE delivery.signal_id = signal.id AND delivery.state <> 'sent')
)
SELECT count(*) FROM gone;
