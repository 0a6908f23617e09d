-- name: create
WITH made AS (
    INSERT INTO account (id, name, email, role, created) VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (name) DO NOTHING
    RETURNING id
)
INSERT INTO feed (feed_id, account_id, epoch) SELECT id, id, $6 FROM made
RETURNING feed_id;

-- name: find
SELECT id, name, email, role, created FROM account WHERE name = $1;

-- name: get
SELECT id, name, email, role, created FROM account WHERE id = $1;

-- name: everyone
SELECT id, name, email, role, created FROM account ORDER BY number;

-- name: add_key
INSERT INTO api_key (id, account_id, prefix, digest, created, expires, revoked) VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: keys
SELECT id, account_id, prefix, digest, created, expires, revoked FROM api_key WHERE account_id = $1 ORDER BY number;

-- name: revoke_key
UPDATE api_key SET revoked = coalesce(revoked, $3) WHERE id = $2 AND account_id = $1
RETURNING id;

-- name: by_digest
SELECT
    account.id, name, email, role, account.created,
    api_key.id AS key_id, prefix, digest, api_key.created AS key_created, expires, revoked
FROM api_key JOIN account ON account.id = api_key.account_id
WHERE digest = $1;
