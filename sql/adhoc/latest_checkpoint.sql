-- The checkpoint a report is about: one that the profile names, else the one furthest in its suite's stages and steps.
-- Of one corpus or (NULL) of all; among equals the last by name.
SELECT checkpoint_id
FROM checkpoints
LEFT JOIN checkpoint_series USING (checkpoint_id, corpus_id)
WHERE $corpus_id IS NULL OR corpus_id = $corpus_id
ORDER BY list_contains($named::VARCHAR[], checkpoint_id) DESC, stage_rank DESC NULLS LAST,
         checkpoints.training_step DESC NULLS LAST, checkpoint_id DESC
LIMIT 1
