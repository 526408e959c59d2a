-- What share of each rung of duplication does a checkpoint recite?
SELECT duplication_count, memorized_share, lower, upper, null_share, paragraph_count
FROM memorization_by_duplication
WHERE checkpoint_id = $checkpoint_id
ORDER BY duplication_count DESC
