-- name: note
INSERT INTO audit (at, actor, account_id, action, target, detail) VALUES ($1, $2, $3, $4, $5, $6);

-- name: audit_page
SELECT number, at, actor, account_id, action, target, detail FROM audit
WHERE number < $2 AND ($1::uuid IS NULL OR account_id = $1 OR actor = $1)
ORDER BY number DESC
LIMIT $3;

-- name: create_watchlist
INSERT INTO watchlist (id, account_id, name, symbols, created, changed) VALUES ($1, $2, $3, $4, $5, $5)
ON CONFLICT (account_id, name) DO NOTHING
RETURNING id, account_id, name, symbols, created, changed;

-- name: change_watchlist
UPDATE watchlist SET name = $3, symbols = $4, changed = $5 WHERE account_id = $1 AND id = $2
RETURNING id, account_id, name, symbols, created, changed;

-- name: get_watchlist
SELECT id, account_id, name, symbols, created, changed FROM watchlist WHERE account_id = $1 AND id = $2;

-- name: find_watchlist
SELECT id, account_id, name, symbols, created, changed FROM watchlist WHERE account_id = $1 AND name = $2;

-- name: page_of_watchlists
SELECT id, account_id, name, symbols, created, changed FROM watchlist
WHERE account_id = $1 AND ($2::uuid IS NULL OR id > $2)
ORDER BY id
LIMIT $3;

-- name: delete_watchlist
DELETE FROM watchlist WHERE account_id = $1 AND id = $2 RETURNING id;

-- name: acknowledge
INSERT INTO verdict AS held (account_id, signal_id, acknowledged, changed) VALUES ($1, $2, $3, $3)
ON CONFLICT (account_id, signal_id) DO UPDATE SET
    acknowledged = coalesce(held.acknowledged, excluded.acknowledged), changed = excluded.changed
RETURNING signal_id, acknowledged, feedback;

-- name: judge
INSERT INTO verdict (account_id, signal_id, feedback, changed) VALUES ($1, $2, $4, $3)
ON CONFLICT (account_id, signal_id) DO UPDATE SET feedback = excluded.feedback, changed = excluded.changed
RETURNING signal_id, acknowledged, feedback;

-- name: get_verdict
SELECT signal_id, acknowledged, feedback FROM verdict WHERE account_id = $1 AND signal_id = $2;

-- name: begin_repeatable
INSERT INTO repeatable AS held (account_id, key, fingerprint, begun) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id, key) DO UPDATE SET fingerprint = excluded.fingerprint, begun = excluded.begun, status = NULL,
    answer = NULL
WHERE held.begun < $6 OR (held.status IS NULL AND held.begun < $5)
RETURNING true;

-- name: get_repeatable
SELECT fingerprint, status, answer FROM repeatable WHERE account_id = $1 AND key = $2;

-- name: finish_repeatable
UPDATE repeatable SET status = $3, answer = $4 WHERE account_id = $1 AND key = $2;

-- name: abandon_repeatable
DELETE FROM repeatable WHERE account_id = $1 AND key = $2 AND status IS NULL;

-- name: forget_repeatable
DELETE FROM repeatable WHERE begun < $1;

-- name: owe_trial
WITH made AS (
    INSERT INTO signal (
        id, account_id, rule_id, rule_version, instrument_id, direction, at, seen, payload, committed_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (id) DO NOTHING
    RETURNING id, account_id
)
INSERT INTO delivery (id, account_id, signal_id, channel, target, queued_at, not_before)
SELECT delivery_id(made.id, t.channel, t.target), account.id, made.id, t.channel, t.target, $10, $10
FROM made
JOIN account ON account.id = made.account_id
CROSS JOIN unnest($11::text[]) AS c (word)
CROSS JOIN LATERAL owed_on(account.id, account.email, c.word) AS t (channel, target)
ON CONFLICT DO NOTHING;
