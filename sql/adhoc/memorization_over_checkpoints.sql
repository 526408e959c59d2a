-- How does the share recited by duplication grow over the checkpoints of a checkpoint's corpus?
SELECT checkpoint_id, training_step, duplication_count, memorized_share, lower, upper, null_share
FROM memorization_by_duplication
WHERE corpus_id = (SELECT corpus_id FROM checkpoints WHERE checkpoint_id = $checkpoint_id)
ORDER BY training_step NULLS FIRST, checkpoint_id, duplication_count
