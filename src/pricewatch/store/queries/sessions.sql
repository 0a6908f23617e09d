-- name: begin
WITH made AS (
    INSERT INTO session (id, account_id, digest, key_id, scopes, created, expires, agent)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    RETURNING id, account_id
)
INSERT INTO audit (at, actor, account_id, action, target)
SELECT $6, account_id, account_id, 'session.begin', id::text FROM made;

-- name: by_digest
SELECT
    account.id, name, email, role, account.created, disabled,
    session.id AS session_id, digest, key_id, scopes, session.created AS session_created, expires, used, agent
FROM session JOIN account ON account.id = session.account_id
WHERE digest = $1;

-- name: listing
SELECT id AS session_id, account_id, digest, key_id, scopes, created AS session_created, expires, used, agent
FROM session WHERE account_id = $1 AND expires > $2 ORDER BY number;

-- name: end
WITH ended AS (
    DELETE FROM session WHERE account_id = $1 AND id = $2 RETURNING id
)
INSERT INTO audit (at, actor, account_id, action, target)
SELECT $3, $1, $1, 'session.end', id::text FROM ended
RETURNING number;

-- name: used
UPDATE session SET used = greatest(used, $2) WHERE id = $1;

-- name: forget_expired
WITH tickets AS (
    DELETE FROM ticket WHERE expires <= $1
)
DELETE FROM session WHERE expires <= $1;

-- name: issue
INSERT INTO ticket (digest, account_id, credential, is_session, expires) VALUES ($1, $2, $3, $4, $5);

-- name: take
DELETE FROM ticket WHERE digest = $1 RETURNING digest, account_id, credential, is_session, expires;
