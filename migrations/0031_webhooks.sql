-- Webhooks: a second kind of channel, through the same outbox as mail.

CREATE TABLE webhook (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL,
    url text NOT NULL,
    secret bytea NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    former bytea,
    former_until bigint NOT NULL DEFAULT 0,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    disabled bigint,
    reason text NOT NULL DEFAULT '',
    UNIQUE (account_id, name)
);
COMMENT ON COLUMN webhook.secret IS 'Signs what is sent: it must be kept as it is, and is never exported or shown again.';
COMMENT ON COLUMN webhook.former IS 'The secret before, which signs as well until former_until.';
COMMENT ON COLUMN webhook.reason IS 'Why it was disabled.';

COMMENT ON COLUMN delivery.target IS 'The mail address, or the webhook''s id.';
-- What is owed to one endpoint is claimed apart from what is owed to others.
CREATE INDEX delivery_of_target ON delivery (channel, target, greatest(not_before, lease_until), number)
    WHERE state IN ('queued', 'sending');

-- One word of a rule's channels as the deliveries it means: none where the owner has no such thing.
CREATE FUNCTION owed_on(my_account uuid, my_email text, my_word text) RETURNS TABLE (channel text, target text)
LANGUAGE sql STABLE AS $$
    SELECT 'email', my_email WHERE my_word = 'email' AND my_email <> ''
    UNION ALL
    SELECT 'webhook', id::text FROM webhook
    WHERE account_id = my_account AND disabled IS NULL AND my_word IN ('webhook', 'webhook:' || name)
    UNION ALL
    SELECT my_word, '' WHERE my_word <> 'email' AND my_word NOT LIKE 'webhook%'
$$;
