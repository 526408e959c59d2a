-- How does the share recited by duplication grow over the checkpoints?
SELECT checkpoint_id, training_step, duplication_count, memorized_share, lower, upper, null_share
FROM memorization_by_duplication
ORDER BY training_step NULLS FIRST, checkpoint_id, duplication_count
