-- What people keep beside their rules: watchlists, words on signals, and answers to repeat.

CREATE TABLE watchlist (
    id uuid PRIMARY KEY,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    name text NOT NULL,
    symbols text[] NOT NULL,
    created bigint NOT NULL,
    changed bigint NOT NULL,
    UNIQUE (account_id, name)
);

CREATE TABLE verdict (
    signal_id uuid NOT NULL,
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    acknowledged bigint,
    feedback text CHECK (feedback IN ('useful', 'noise')),
    changed bigint NOT NULL,
    PRIMARY KEY (account_id, signal_id)
);
COMMENT ON TABLE verdict IS 'What an account said of a signal: seen, and whether it was worth it.';

CREATE TABLE repeatable (
    account_id uuid NOT NULL REFERENCES account ON DELETE CASCADE,
    key text NOT NULL,
    fingerprint bytea NOT NULL CHECK (length(fingerprint) = 32),
    begun bigint NOT NULL,
    status smallint,
    answer bytea,
    PRIMARY KEY (account_id, key)
);
COMMENT ON TABLE repeatable IS 'Answers to POSTs with an Idempotency-Key, for a day; status is null while one runs.';
CREATE INDEX repeatable_age ON repeatable (begun);
