-- Candles a venue gave us for the time before we listened.
CREATE TABLE venue_candle (
    instrument_id integer NOT NULL REFERENCES instrument (id),
    bucket timestamptz NOT NULL,
    open float8 NOT NULL CHECK (open > 0 AND open < 1e15),
    high float8 NOT NULL CHECK (high > 0 AND high < 1e15),
    low float8 NOT NULL CHECK (low > 0 AND low < 1e15),
    close float8 NOT NULL CHECK (close > 0 AND close < 1e15),
    volume float8 NOT NULL CHECK (volume >= 0 AND volume < 1e18),
    trades bigint NOT NULL,
    PRIMARY KEY (instrument_id, bucket)
);
