-- name: holdings
SELECT
    (SELECT count(*) FROM rule WHERE account_id = $1 AND NOT deleted) AS rules,
    (SELECT count(*) FROM api_key WHERE account_id = $1 AND revoked IS NULL) AS keys,
    (SELECT count(*) FROM watchlist WHERE account_id = $1) AS watchlists;

-- name: rule_versions
SELECT rule_id, version, created, deleted, convert_from(document, 'UTF8') AS document
FROM rule_version WHERE account_id = $1 AND (rule_id, version) > ($2::uuid, $3::integer)
ORDER BY rule_id, version
LIMIT $4;

-- name: signals
SELECT entry.seq, convert_from(signal.payload, 'UTF8') AS payload, signal.committed_at AS committed
FROM feed_entry AS entry JOIN signal ON signal.id = entry.signal_id
WHERE entry.feed_id = $1 AND entry.seq > $2
ORDER BY entry.seq
LIMIT $3;

-- name: deliveries
SELECT number, id, signal_id, channel, target, state, attempts, queued_at AS queued, sent_at AS sent, last_error, reply
FROM delivery WHERE account_id = $1 AND number > $2
ORDER BY number
LIMIT $3;

-- name: webhooks
SELECT id, name, url, created, changed, disabled, reason FROM webhook WHERE account_id = $1 ORDER BY number;

-- name: verdicts
SELECT signal_id, acknowledged, feedback, changed FROM verdict
WHERE account_id = $1 AND signal_id > $2::uuid
ORDER BY signal_id
LIMIT $3;

-- name: erase
WITH gone AS (
    DELETE FROM account WHERE id = $1 RETURNING id
), versions AS (
    DELETE FROM rule_version WHERE account_id = $1
), states AS (
    DELETE FROM rule_state USING rule WHERE rule.account_id = $1 AND rule_state.rule_id = rule.id
), deliveries AS (
    DELETE FROM delivery WHERE account_id = $1
), entries AS (
    DELETE FROM feed_entry WHERE feed_id = $1
), signals AS (
    DELETE FROM signal WHERE account_id = $1
)
INSERT INTO audit (at, actor, account_id, action, target) SELECT $2, $3, id, 'user.erase', id::text FROM gone
RETURNING number;
