-- Which head looks at rare tokens most, and how many do so beyond chance?
SELECT head_ref, spearman, spearman_lower, spearman_upper, spearman_placebo_lower, spearman_placebo_upper, q_value,
       summed_by_rank, summed_uniform_null, summed_placebo, family_lower, family_upper, family_p_value, token_q_value,
       (SELECT count(*) FROM attention_against_rarity
        WHERE checkpoint_id = $checkpoint_id AND paragraph_group = 'all' AND q_value < 0.05 AND token_q_value < 0.05
          AND spearman > 0)                                                                                   AS positive_count,
       (SELECT count(*) FROM attention_against_rarity
        WHERE checkpoint_id = $checkpoint_id AND paragraph_group = 'all')                                     AS head_count
FROM attention_against_rarity
WHERE checkpoint_id = $checkpoint_id AND paragraph_group = 'all'
ORDER BY spearman DESC NULLS LAST
LIMIT 1
