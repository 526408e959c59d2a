-- Prefix tokens that stand in the trigger view more than once.
SELECT checkpoint_id, paragraph_id, position, count(*) AS row_count
FROM triggers
GROUP BY ALL
HAVING count(*) > 1
