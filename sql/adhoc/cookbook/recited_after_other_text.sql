-- Is it recited anywhere, or only where the context window begins?
SELECT preceding_text, preceding_length, kept_share, lower, upper, gained_share, start_cluster_count
FROM recital_by_offset
WHERE checkpoint_id = chosen_checkpoint()
  AND context_length = (SELECT max(context_length) FROM recital_by_offset)
ORDER BY preceding_text DESC, preceding_length
