"""What the words mean: markets, trades, signals, rules, errors. Values only, no I/O."""
