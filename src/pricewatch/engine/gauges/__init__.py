"""Numbers of a market that look back: one file a subject, made only when a rule reads them."""
