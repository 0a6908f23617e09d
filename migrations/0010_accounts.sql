-- Instants are bigint microseconds since 1970, UTC, as everywhere in pricewatch.

CREATE TABLE account (
    id uuid PRIMARY KEY,
    number bigint GENERATED ALWAYS AS IDENTITY,
    name text NOT NULL UNIQUE,
    email text NOT NULL,
    role text NOT NULL CHECK (role IN ('viewer', 'user', 'admin')),
    created bigint NOT NULL
);
COMMENT ON COLUMN account.email IS 'Empty for an account that gets no mail.';

CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    number bigint GENERATED ALWAYS AS IDENTITY,
    prefix text NOT NULL,
    digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
    created bigint NOT NULL,
    expires bigint,
    revoked bigint
);
CREATE INDEX api_key_of_account ON api_key (account_id);

CREATE TABLE feed (
    feed_id uuid PRIMARY KEY REFERENCES account ON DELETE CASCADE,
    epoch bigint NOT NULL,
    seq bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE feed IS 'One per account, under the account''s id.';
COMMENT ON COLUMN feed.epoch IS 'Changes only when a backup is restored: UPDATE feed SET epoch = epoch + 1.';
