-- Statuses that runs have in the history of Dagster's own SQLite file.
SELECT DISTINCT status
FROM runs
