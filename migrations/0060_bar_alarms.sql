-- Alarms a week of a reader whom the minute alarms; NULL where nothing was unusual, and for minutes of before.
ALTER TABLE bar_score ADD COLUMN alarms float8;
