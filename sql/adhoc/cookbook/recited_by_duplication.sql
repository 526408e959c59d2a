-- How does recital grow with the number of copies in training?
SELECT duplication_count, memorized_share, lower, upper, null_share, cluster_count
FROM memorization_by_duplication
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY duplication_count
