-- What is recited at the start of the window: how much of it after other text, and what of the rest is recited there?
SELECT preceding_text, preceding_length, context_length, kept_share, lower, upper, gained_share, start_cluster_count
FROM recital_by_offset
WHERE checkpoint_id = $checkpoint_id AND start_cluster_count > 0
ORDER BY preceding_text DESC, context_length DESC, preceding_length
