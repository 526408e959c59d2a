-- Which checkpoints have been measured?
SELECT checkpoint_id
FROM checkpoints
ORDER BY checkpoint_id
