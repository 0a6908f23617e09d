-- Forecasts are forgotten some time after they have expired: found by when they did, and their activations with them.
CREATE INDEX model_version_expires ON model_version (expires);
CREATE INDEX model_activation_version ON model_activation (version);
