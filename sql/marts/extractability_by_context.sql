-- One row per checkpoint and length of context: the share of paragraphs recited after the last k tokens of the prefix.
-- Means over near-duplicate clusters; lower, upper: 95 % Wilson interval. held_out_share: the same for paragraphs that
-- were never trained on, what guessing gives; NULL where there are none or nobody knows. Left out of the share itself.
WITH by_cluster AS (
    SELECT checkpoint_id, corpus_id, training_step, context_length, near_duplicate_cluster,
           duplication_count IS NOT DISTINCT FROM 0 AS is_held_out,
           avg(extractability.is_extractable::INTEGER)  AS extractable_share,
           avg(extractability.exact_match)              AS exact_match
    FROM extractability
    JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
    GROUP BY ALL
),
by_context AS (
    SELECT checkpoint_id, corpus_id, training_step, context_length,
           avg(extractable_share) FILTER (NOT is_held_out)  AS extractable_share,
           avg(extractable_share) FILTER (is_held_out)      AS held_out_share,
           avg(exact_match) FILTER (NOT is_held_out)        AS exact_match_mean,
           count(*) FILTER (NOT is_held_out)                AS cluster_count,
           count(*) FILTER (is_held_out)                    AS held_out_cluster_count
    FROM by_cluster
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, context_length, extractable_share,
       wilson_lower(extractable_share, cluster_count)  AS lower,
       wilson_upper(extractable_share, cluster_count)  AS upper,
       held_out_share, exact_match_mean, cluster_count, held_out_cluster_count
FROM by_context
ORDER BY training_step, checkpoint_id, context_length
