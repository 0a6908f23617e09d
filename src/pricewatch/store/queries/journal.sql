-- name: claim
INSERT INTO shard AS held (shard, owner, term) VALUES ($1, $2, 1)
ON CONFLICT (shard) DO UPDATE SET owner = excluded.owner, home = '', lease = 0, term = held.term + 1
RETURNING term, cursor_seen;

-- name: request
SELECT granted, holder, new_term, at_cursor, kept, silent FROM shard_request($1, $2, $3, $4);

-- name: release
UPDATE shard SET lease = 0 WHERE shard = $1 AND term = $2;

-- name: advance
UPDATE shard SET cursor_seen = greatest(cursor_seen, $3) WHERE shard = $1 AND term = $2
RETURNING term;

-- name: commit
SELECT new_signal, new_epoch, new_seq FROM journal_commit(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24,
    $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37
);

-- name: placed
SELECT entry.signal_id, feed.epoch, entry.seq, signal.committed_at
FROM feed_entry AS entry
JOIN feed ON feed.feed_id = entry.feed_id
JOIN signal ON signal.id = entry.signal_id
WHERE entry.signal_id = ANY ($1);

-- name: states
SELECT rule_id, instrument_id, version, phase, armed, silent, since, due_at, due_seen, emitted_at, fired, hour,
    hour_fires, parts, seen
FROM rule_state
WHERE shard = $1 AND (rule_id, instrument_id) > ($2, $3)
ORDER BY rule_id, instrument_id
LIMIT $4;
