-- Of what is recited at the start of the window with the whole prefix, how much is recited after how much other text?
SELECT preceding_text, preceding_length, kept_share, lower, upper, gained_share, start_cluster_count, other_cluster_count
FROM recital_by_offset
WHERE checkpoint_id = $checkpoint_id AND start_cluster_count > 0
  AND context_length = (SELECT max(context_length) FROM recital_by_offset WHERE checkpoint_id = $checkpoint_id)
  AND preceding_length > 0
ORDER BY preceding_text DESC, preceding_length
