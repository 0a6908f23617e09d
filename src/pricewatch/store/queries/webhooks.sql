-- Every change writes its entry into the audit log in the same statement; URLs may hold secrets and are not in it.

-- name: create
WITH made AS (
    INSERT INTO webhook (id, account_id, name, url, secret, created, changed) VALUES ($1, $2, $3, $4, $5, $6, $6)
    ON CONFLICT (account_id, name) DO NOTHING
    RETURNING id, account_id, name, url, created, changed, disabled, reason, former_until
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target, detail)
    SELECT $6, account_id, account_id, 'webhook.create', id::text, jsonb_build_object('name', name) FROM made
)
SELECT id, account_id, name, url, created, changed, disabled, reason, former_until FROM made;

-- name: listing
SELECT id, account_id, name, url, created, changed, disabled, reason, former_until FROM webhook
WHERE account_id = $1
ORDER BY number;

-- name: get
SELECT id, account_id, name, url, created, changed, disabled, reason, former_until FROM webhook
WHERE account_id = $1 AND id = $2;

-- name: change
WITH changed AS (
    UPDATE webhook SET
        name = coalesce($3, name),
        url = coalesce($4, url),
        disabled = CASE $5::boolean WHEN true THEN NULL WHEN false THEN coalesce(disabled, $6) ELSE disabled END,
        reason = CASE
            WHEN $5 THEN ''
            WHEN NOT $5 AND disabled IS NULL THEN 'disabled by its owner'
            ELSE reason
        END,
        changed = $6
    WHERE account_id = $1 AND id = $2
    RETURNING id, account_id, name, url, created, changed, disabled, reason, former_until
), dropped AS (
    UPDATE delivery SET state = 'dead', last_error = 'the webhook was disabled', lease_until = 0
    FROM changed
    WHERE channel = 'webhook' AND target = changed.id::text AND state = 'queued' AND changed.disabled IS NOT NULL
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target, detail)
    SELECT
        $6, account_id, account_id, 'webhook.change', id::text,
        jsonb_strip_nulls(jsonb_build_object(
            'name', $3::text, 'enabled', $5::boolean, 'url', CASE WHEN $4::text IS NULL THEN NULL ELSE 'changed' END
        ))
    FROM changed
)
SELECT id, account_id, name, url, created, changed, disabled, reason, former_until FROM changed;

-- name: rotate
WITH changed AS (
    UPDATE webhook SET secret = $3, former = secret, former_until = $4, changed = $5
    WHERE account_id = $1 AND id = $2
    RETURNING id, account_id, name, url, created, changed, disabled, reason, former_until
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target)
    SELECT $5, account_id, account_id, 'webhook.rotate', id::text FROM changed
)
SELECT id, account_id, name, url, created, changed, disabled, reason, former_until FROM changed;

-- name: delete
WITH gone AS (
    DELETE FROM webhook WHERE account_id = $1 AND id = $2 RETURNING id, account_id, name
), dropped AS (
    UPDATE delivery SET state = 'dead', last_error = 'the webhook was deleted', lease_until = 0
    FROM gone WHERE channel = 'webhook' AND target = gone.id::text AND state = 'queued'
)
INSERT INTO audit (at, actor, account_id, action, target, detail)
SELECT $3, account_id, account_id, 'webhook.delete', id::text, jsonb_build_object('name', name) FROM gone
RETURNING number;

-- name: endpoint
SELECT id, url, secret, CASE WHEN former_until > $2 THEN former END AS former, disabled, reason FROM webhook
WHERE id = $1;

-- name: gone
WITH changed AS (
    UPDATE webhook SET disabled = $2, reason = $3, changed = $2 WHERE id = $1 AND disabled IS NULL
    RETURNING id, account_id
), dropped AS (
    UPDATE delivery SET state = 'dead', last_error = 'the webhook was disabled: ' || $3, lease_until = 0
    FROM changed WHERE channel = 'webhook' AND target = changed.id::text AND state = 'queued'
)
INSERT INTO audit (at, actor, account_id, action, target, detail)
SELECT $2, NULL, account_id, 'webhook.disable', id::text, jsonb_build_object('reason', $3) FROM changed;
