-- A feed that is nobody's: what the service tells of itself. Accounts' feeds still go with their accounts.
ALTER TABLE feed ADD COLUMN account_id uuid REFERENCES account ON DELETE CASCADE;
UPDATE feed SET account_id = feed_id;
ALTER TABLE feed DROP CONSTRAINT feed_feed_id_fkey;
COMMENT ON TABLE feed IS 'One per account, under the account''s id, and the system''s, whose account is null.';
INSERT INTO feed (feed_id, epoch) VALUES ('867b76dc-d809-57d3-85fb-dfb79218e173', extract(epoch FROM now())::bigint);

-- The newest watch signals are read at every start.
CREATE INDEX signal_of_rule ON signal (rule_id, seen) WHERE account_id = '867b76dc-d809-57d3-85fb-dfb79218e173';
CREATE INDEX gap_of_market ON gap (instrument_id, id);
CREATE UNIQUE INDEX gap_once ON gap (instrument_id, opened_seen, first_key, from_at);
COMMENT ON INDEX gap_once IS 'A declaration whose answer was lost is made again, and is the same hole.';
