-- How a hole was closed: its trades came, or only candles of its time could be had.
ALTER TABLE gap ADD COLUMN closed_as text CHECK (closed_as IN ('filled', 'candles'));
UPDATE gap SET closed_as = 'filled' WHERE closed_seen IS NOT NULL;
CREATE INDEX gap_patched ON gap (id) WHERE closed_as = 'candles';
COMMENT ON COLUMN gap.last_key IS 'Below first_key where only the times are known.';
COMMENT ON COLUMN gap.closed_as IS 'Null while it is open.';
