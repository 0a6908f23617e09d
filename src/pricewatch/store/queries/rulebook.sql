-- Joined columns are compared twice, so that a page costs the same wherever it begins.

-- name: create
WITH made AS (
    INSERT INTO rule AS held (id, account_id, version) VALUES ($1, $2, 1)
    ON CONFLICT (id) DO UPDATE SET version = held.version + 1, deleted = false
    WHERE held.account_id = excluded.account_id
    RETURNING id, account_id, version
)
INSERT INTO rule_version (rule_id, version, account_id, document, created)
SELECT id, version, account_id, $3, $4 FROM made
RETURNING rule_id, account_id, version, document, created, effective_seen, deleted;

-- name: create_many
WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::bytea[]) AS g (id, document)
), made AS (
    INSERT INTO rule (id, account_id, version)
    SELECT id, $3, 1 FROM given
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), written AS (
    INSERT INTO rule_version (rule_id, version, account_id, document, created)
    SELECT given.id, 1, $3, given.document, $4 FROM given JOIN made ON made.id = given.id
)
SELECT count(*) FROM made;

-- name: refresh_statistics
ANALYZE rule, rule_version;

-- name: account_exists
SELECT EXISTS (SELECT FROM account WHERE id = $1);

-- name: versions
SELECT rule_id, account_id, version, document, created, effective_seen, deleted FROM rule_version
WHERE rule_id = $1 AND account_id = $2 AND version < $3
ORDER BY version DESC
LIMIT $4;

-- name: is_known
SELECT EXISTS (SELECT FROM rule WHERE id = $1 AND account_id = $2);

-- name: revise
WITH moved AS (
    UPDATE rule SET version = version + 1 WHERE id = $1 AND account_id = $2 AND NOT deleted
    RETURNING id, account_id, version
)
INSERT INTO rule_version (rule_id, version, account_id, document, created)
SELECT id, version, account_id, $3, $4 FROM moved
RETURNING rule_id, account_id, version, document, created, effective_seen, deleted;

-- name: delete
WITH moved AS (
    UPDATE rule SET version = version + 1, deleted = true
    WHERE id = $1 AND account_id = $2 AND NOT deleted
    RETURNING id, account_id, version
), silenced AS (
    DELETE FROM rule_command USING moved WHERE rule_id = moved.id
)
INSERT INTO rule_version (rule_id, version, account_id, document, created, deleted)
SELECT moved.id, moved.version, moved.account_id, last.document, $3, true
FROM moved JOIN rule_version AS last ON last.rule_id = moved.id AND last.version = moved.version - 1
RETURNING rule_id, account_id, version, document, created, effective_seen, deleted;

-- name: get
SELECT v.rule_id, v.account_id, v.version, v.document, v.created, v.effective_seen, v.deleted
FROM rule JOIN rule_version AS v ON v.rule_id = rule.id AND v.version = rule.version
WHERE rule.id = $1 AND rule.account_id = $2 AND NOT rule.deleted;

-- name: page
SELECT v.rule_id, v.account_id, v.version, v.document, v.created, v.effective_seen, v.deleted
FROM rule JOIN rule_version AS v ON v.rule_id = rule.id AND v.version = rule.version
WHERE rule.account_id = $1 AND NOT rule.deleted AND rule.id >= $2 AND v.rule_id >= $2
ORDER BY rule.id
LIMIT $3;

-- name: everything
SELECT v.rule_id, v.account_id, v.version, v.document, v.created, v.effective_seen, v.deleted
FROM rule JOIN rule_version AS v ON v.rule_id = rule.id AND v.version = rule.version
WHERE NOT rule.deleted AND rule.id >= $1 AND v.rule_id >= $1
ORDER BY rule.id
LIMIT $2;

-- name: pending
SELECT v.rule_id, v.account_id, v.version, v.document, v.created, v.effective_seen, v.deleted
FROM rule_version AS v JOIN rule ON rule.id = v.rule_id AND rule.version = v.version
WHERE v.effective_seen IS NULL AND rule.id >= $1 AND v.rule_id >= $1
ORDER BY v.rule_id
LIMIT $2;

-- name: effective
SELECT v.rule_id, v.account_id, v.version, v.document, v.created, v.effective_seen, v.deleted
FROM rule_version AS v
WHERE v.rule_id = $1 AND v.effective_seen IS NOT NULL
ORDER BY v.version DESC
LIMIT 1;

-- name: command
WITH moved AS (
    UPDATE rule SET command = command + 1 WHERE id = $1 AND account_id = $2 AND NOT deleted
    RETURNING id, account_id, command
)
INSERT INTO rule_command (rule_id, number, account_id, kind, until, created)
SELECT id, command, account_id, $3, $4, $5 FROM moved
RETURNING rule_id, account_id, number, kind, until, created, effective_seen;

-- name: commands
SELECT c.rule_id, c.account_id, c.number, c.kind, c.until, c.created, c.effective_seen
FROM rule_command AS c
WHERE c.rule_id = $1
ORDER BY c.number DESC
LIMIT $2;

-- name: standing
SELECT c.rule_id, c.account_id, c.number, c.kind, c.until, c.created, c.effective_seen
FROM rule JOIN rule_command AS c ON c.rule_id = rule.id AND c.number = rule.command
WHERE rule.account_id = $1 AND rule.id = ANY ($2) AND NOT rule.deleted;

-- name: pending_commands
SELECT c.rule_id, c.account_id, c.number, c.kind, c.until, c.created, c.effective_seen
FROM rule_command AS c JOIN rule ON rule.id = c.rule_id AND rule.command = c.number
WHERE c.effective_seen IS NULL AND NOT rule.deleted AND c.rule_id >= $1
ORDER BY c.rule_id
LIMIT $2;

-- name: taken_commands
SELECT DISTINCT ON (c.rule_id) c.rule_id, c.account_id, c.number, c.kind, c.until, c.created, c.effective_seen
FROM rule_command AS c JOIN rule ON rule.id = c.rule_id
WHERE c.effective_seen IS NOT NULL AND NOT rule.deleted AND c.rule_id >= $1
ORDER BY c.rule_id, c.number DESC
LIMIT $2;
