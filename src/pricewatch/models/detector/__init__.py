"""Any series' rows judged one by one: several scores, a calibrated tail for each, one alarm policy."""
