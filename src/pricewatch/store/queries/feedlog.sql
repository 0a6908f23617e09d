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
