-- Which heads look at rare tokens?
SELECT head_ref, spearman, spearman_lower, spearman_upper, spearman_placebo_upper, q_value, token_q_value, summed_by_rank,
       summed_uniform_null
FROM attention_against_rarity
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_group = 'all'
ORDER BY spearman DESC NULLS LAST, head_ref
LIMIT 12
