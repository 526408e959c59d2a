-- One row per checkpoint, head and within-prefix rarity rank (0 = rarest): mean attention on tokens of that rank.
-- uniform_null: the same for attention spread evenly over prefix and self. token_count: tokens behind the mean; summing
-- instead of averaging over them is what makes even uniform attention fall with the rank.
WITH long AS (
    SELECT checkpoint_id, corpus_id, paragraph_id, layer, head, unnest(attention) AS attention,
           generate_subscripts(attention, 1) - 1 AS position
    FROM head_attention
    JOIN checkpoints USING (checkpoint_id)
)
SELECT checkpoint_id, layer, head, prefix_rarity_rank,
       avg(attention)                  AS attention_mean,
       avg(1.0 / (prefix_length + 1))  AS uniform_null,
       sum(attention)                  AS attention_sum,
       count(*)                        AS token_count
FROM long
JOIN prefix_tokens USING (corpus_id, paragraph_id, position)
GROUP BY ALL
ORDER BY checkpoint_id, layer, head, prefix_rarity_rank
