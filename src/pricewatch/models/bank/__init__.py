"""A market's closed bars judged: several scores, a calibrated tail for each, a stated rate of false alarms."""
