-- name: locked
SELECT account_id, name, channel, filter, ack_wait, epoch, seq, lease, since_lease, created FROM consumer
WHERE account_id = $1 AND name = $2
FOR UPDATE;

-- name: place
SELECT
    feed.epoch,
    feed.seq,
    coalesce((SELECT min(entry.seq) FROM feed_entry AS entry WHERE entry.feed_id = $1), feed.seq + 1) AS first
FROM feed WHERE feed.feed_id = $1;

-- name: count
SELECT count(*) FROM consumer WHERE account_id = $1;

-- name: create
INSERT INTO consumer (account_id, name, channel, filter, ack_wait, epoch, seq, lease, since_lease, created)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8)
ON CONFLICT DO NOTHING;

-- name: rejoin
UPDATE consumer SET filter = $3, ack_wait = $4, epoch = $5, seq = $6, lease = $7
WHERE account_id = $1 AND name = $2;

-- name: drop_lost
DELETE FROM consumer_pending WHERE account_id = $1 AND name = $2 AND NOT seq BETWEEN $3 AND $4;

-- name: in_flight
SELECT count(*) FROM consumer_pending WHERE account_id = $1 AND name = $2;

-- name: redeliver
WITH ripe AS (
    SELECT seq FROM consumer_pending
    WHERE account_id = $1 AND name = $2 AND due <= $3
    ORDER BY seq
    LIMIT $4
), taken AS (
    UPDATE consumer_pending AS held SET attempt = held.attempt + 1, lease = $5, due = $6
    FROM ripe
    WHERE held.account_id = $1 AND held.name = $2 AND held.seq = ripe.seq
    RETURNING held.seq, held.attempt
)
SELECT entry.feed_id, feed.epoch, entry.seq, signal.payload, signal.committed_at, taken.attempt
FROM taken
JOIN feed ON feed.feed_id = $7
JOIN feed_entry AS entry ON entry.feed_id = $7 AND entry.seq = taken.seq
JOIN signal ON signal.id = entry.signal_id
ORDER BY entry.seq;

-- name: deliver
INSERT INTO consumer_pending (account_id, name, seq, attempt, lease, due)
SELECT $1, $2, given.seq, 1, $4, $5 FROM unnest($3::bigint[]) AS given (seq);

-- name: move
UPDATE consumer SET seq = $3 WHERE account_id = $1 AND name = $2;

-- name: next_due
SELECT min(due) FROM consumer_pending WHERE account_id = $1 AND name = $2;

-- name: ack
WITH done AS (
    DELETE FROM consumer_pending AS held
    WHERE account_id = $1 AND name = $2 AND lease = $4
        AND (seq = ANY ($3::bigint[]) OR seq <= $5)
    RETURNING seq
)
SELECT seq FROM done;

-- name: delay
UPDATE consumer_pending SET due = $6, lease = CASE WHEN $7::boolean THEN 0 ELSE lease END
WHERE account_id = $1 AND name = $2 AND lease = $4 AND (seq = ANY ($3::bigint[]) OR seq <= $5)
RETURNING seq;

-- name: still_held
SELECT seq FROM consumer_pending WHERE account_id = $1 AND name = $2 AND seq = ANY ($3::bigint[]) ORDER BY seq;

-- name: leave
UPDATE consumer_pending SET due = 0, lease = 0 WHERE account_id = $1 AND name = $2 AND lease = $3;

-- name: states
SELECT
    consumer.account_id, consumer.name, consumer.channel, consumer.filter, consumer.ack_wait, consumer.epoch,
    consumer.seq, consumer.lease, consumer.since_lease, consumer.created,
    feed.seq AS head, held.flying, held.ripe, held.again, held.first
FROM consumer
JOIN feed ON feed.feed_id = CASE consumer.channel WHEN 'system' THEN $3::uuid ELSE consumer.account_id END
CROSS JOIN LATERAL (
    SELECT
        count(*) AS flying,
        count(*) FILTER (WHERE due <= $4) AS ripe,
        count(*) FILTER (WHERE attempt > 1) AS again,
        min(seq) AS first
    FROM consumer_pending AS pending
    WHERE pending.account_id = consumer.account_id AND pending.name = consumer.name
) AS held
WHERE consumer.account_id = $1 AND ($2::text IS NULL OR consumer.name = $2)
ORDER BY consumer.name;

-- name: clear
DELETE FROM consumer_pending WHERE account_id = $1 AND name = $2;

-- name: restart
UPDATE consumer SET epoch = $3, seq = $4, lease = lease + 1, since_lease = lease + 1 WHERE account_id = $1 AND name = $2;

-- name: delete
DELETE FROM consumer WHERE account_id = $1 AND name = $2 RETURNING name;
