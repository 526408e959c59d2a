-- How much prompt does it take: what is extracted with shorter contexts?
SELECT context_length, extractable_share, lower, upper, held_out_share, cluster_count
FROM extractability_by_context
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY context_length
