-- How many paragraphs does each checkpoint recite to the end?
SELECT checkpoint_id, training_step, memorized_count, paragraph_count, memorized_share,
       wilson_lower(memorized_share, cluster_count) AS lower, wilson_upper(memorized_share, cluster_count) AS upper
FROM checkpoint_summary
ORDER BY training_step, checkpoint_id
