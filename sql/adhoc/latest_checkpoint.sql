-- The checkpoint with the most training steps; among equals the last by name.
SELECT checkpoint_id
FROM checkpoints
ORDER BY training_step DESC NULLS LAST, checkpoint_id DESC
LIMIT 1
