-- The numbering of markets: a market keeps its number for ever.
CREATE TABLE instrument (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue text NOT NULL,
    symbol text NOT NULL,
    native text NOT NULL,
    step integer NOT NULL DEFAULT 1 CHECK (step > 0),
    UNIQUE (venue, symbol)
);
