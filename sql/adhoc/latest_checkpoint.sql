-- The checkpoint with the most training steps, of one corpus or (NULL) of all; among equals the last by name.
SELECT checkpoint_id
FROM checkpoints
WHERE $corpus_id IS NULL OR corpus_id = $corpus_id
ORDER BY training_step DESC NULLS LAST, checkpoint_id DESC
LIMIT 1
