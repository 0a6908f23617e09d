-- What administrators said of single markets; it goes before the configuration. Instants in microseconds since 1970.
CREATE TABLE market_choice (
    venue text NOT NULL,
    symbol text NOT NULL,
    wanted boolean NOT NULL,
    account_id uuid NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (venue, symbol)
);
COMMENT ON TABLE market_choice IS 'No foreign key: a choice outlives the account that made it.';
