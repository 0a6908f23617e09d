-- Every change writes its entry into the audit log in the same statement.

-- name: create
WITH made AS (
    INSERT INTO account (id, name, email, role, created) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name) DO NOTHING
    RETURNING id, role
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target, detail)
    SELECT $5, $7, id, 'user.create', id::text, jsonb_build_object('role', role) FROM made
)
INSERT INTO feed (feed_id, account_id, epoch) SELECT id, id, $6 FROM made
RETURNING feed_id;

-- name: find
SELECT id, name, email, role, created, disabled, password FROM account WHERE name = $1;

-- name: get
SELECT id, name, email, role, created, disabled FROM account WHERE id = $1;

-- name: everyone
SELECT id, name, email, role, created, disabled FROM account ORDER BY number;

-- name: lock_admins
SELECT id FROM account WHERE role = 'admin' AND disabled IS NULL ORDER BY id FOR UPDATE;

-- name: change
WITH changed AS (
    UPDATE account SET
        email = coalesce($2, email),
        role = coalesce($3, role),
        disabled = CASE $4::boolean WHEN true THEN coalesce(disabled, $5) WHEN false THEN NULL ELSE disabled END
    WHERE id = $1
    RETURNING id, name, email, role, created, disabled
), ended AS (
    DELETE FROM session USING changed WHERE session.account_id = changed.id AND changed.disabled IS NOT NULL
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target, detail)
    SELECT
        $5, $6, id, 'user.change', id::text,
        jsonb_strip_nulls(jsonb_build_object(
            'role', $3::text, 'disabled', $4::boolean, 'email', CASE WHEN $2::text IS NULL THEN NULL ELSE 'changed' END
        ))
    FROM changed
)
SELECT id, name, email, role, created, disabled FROM changed;

-- name: set_password
WITH changed AS (
    UPDATE account SET password = $2 WHERE id = $1 RETURNING id
), ended AS (
    DELETE FROM session USING changed
    WHERE session.account_id = changed.id AND NOT $6 AND session.id IS DISTINCT FROM $5::uuid
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target)
    SELECT $3, $4, id, CASE WHEN $2::text IS NULL THEN 'password.remove' ELSE 'password.set' END, id::text
    FROM changed WHERE NOT $6
)
SELECT id FROM changed;

-- name: add_key
WITH made AS (
    INSERT INTO api_key (id, account_id, prefix, digest, created, expires, revoked, title, scopes)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
    RETURNING id, account_id, prefix, scopes
)
INSERT INTO audit (at, actor, account_id, action, target, detail)
SELECT
    $5, $10, account_id, 'key.create', id::text, jsonb_build_object('prefix', prefix, 'scopes', to_jsonb(scopes))
FROM made;

-- name: keys
SELECT id, account_id, prefix, digest, created, expires, revoked, title, scopes, used
FROM api_key WHERE account_id = $1 ORDER BY number;

-- name: revoke_key
WITH found AS (
    SELECT id, revoked AS before FROM api_key WHERE id = $2 AND account_id = $1 FOR UPDATE
), changed AS (
    UPDATE api_key SET revoked = coalesce(revoked, $3) FROM found WHERE api_key.id = found.id RETURNING api_key.id
), ended AS (
    DELETE FROM session USING changed WHERE key_id = changed.id
), noted AS (
    INSERT INTO audit (at, actor, account_id, action, target)
    SELECT $3, $4, $1, 'key.revoke', id::text FROM found WHERE before IS NULL
)
SELECT id FROM changed;

-- name: key_used
UPDATE api_key SET used = greatest(used, $2) WHERE id = $1;

-- name: by_digest
SELECT
    account.id, name, email, role, account.created, disabled,
    api_key.id AS key_id, prefix, digest, api_key.created AS key_created, expires, revoked, title, scopes, used
FROM api_key JOIN account ON account.id = api_key.account_id
WHERE digest = $1;

-- name: standing
SELECT digest FROM api_key JOIN account ON account.id = account_id
WHERE digest = ANY ($1) AND revoked IS NULL AND (expires IS NULL OR expires > $2) AND disabled IS NULL
UNION ALL
SELECT digest FROM session JOIN account ON account.id = account_id
WHERE digest = ANY ($1) AND expires > $2 AND disabled IS NULL;
