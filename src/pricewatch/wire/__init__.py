"""The public JSON: what the feed, REST and webhooks say, versioned."""
