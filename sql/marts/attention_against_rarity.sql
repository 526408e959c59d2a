-- One row per checkpoint, group and head: does the head look at rare tokens, by every coefficient, beside its nulls.
-- spearman … : positive = looks at rare tokens, mean over clusters. summed_by_rank: the construction of Stoehr et al.
-- (negative = rare) and summed_uniform_null, what uniform attention gives under the same construction.
-- placebo: with the rarity of another cluster's prefix, so what habits of place alone give. family_…: of the best of all heads.
-- token_q_value: the spearman test with token types as random effects; a head may just like a few rare tokens.
SELECT checkpoint_id, paragraph_group, layer, head, layer || '.' || head AS head_ref,
       max(estimate)      FILTER (coefficient = 'spearman')       AS spearman,
       max(lower)         FILTER (coefficient = 'spearman')       AS spearman_lower,
       max(upper)         FILTER (coefficient = 'spearman')       AS spearman_upper,
       max(placebo)       FILTER (coefficient = 'spearman')       AS spearman_placebo,
       max(placebo_lower) FILTER (coefficient = 'spearman')       AS spearman_placebo_lower,
       max(placebo_upper) FILTER (coefficient = 'spearman')       AS spearman_placebo_upper,
       max(q_value)       FILTER (coefficient = 'spearman')       AS q_value,
       max(family_p_value) FILTER (coefficient = 'spearman')      AS family_p_value,
       max(family_lower)  FILTER (coefficient = 'spearman')       AS family_lower,
       max(family_upper)  FILTER (coefficient = 'spearman')       AS family_upper,
       max(token_q_value) FILTER (coefficient = 'spearman')       AS token_q_value,
       max(rank_among_heads) FILTER (coefficient = 'spearman')    AS rank_among_heads,
       max(estimate)      FILTER (coefficient = 'kendall')        AS kendall,
       max(estimate)      FILTER (coefficient = 'pearson')        AS pearson,
       max(estimate)      FILTER (coefficient = 'summed_by_rank') AS summed_by_rank,
       max(placebo)       FILTER (coefficient = 'summed_by_rank') AS summed_placebo,
       max(token_q_value) FILTER (coefficient = 'summed_by_rank') AS summed_token_q_value,
       max(uniform_null)  FILTER (coefficient = 'summed_by_rank') AS summed_uniform_null,
       max(cluster_count)                                         AS cluster_count
FROM head_rarity
GROUP BY ALL
ORDER BY checkpoint_id, paragraph_group, rank_among_heads
