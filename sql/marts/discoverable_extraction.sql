-- One row per checkpoint, number of samples n and probability p: the share of paragraphs that are (n, p)-discoverable.
-- Hayes et al. 2025: n samples at temperature 1 hold the continuation with probability p. greedy_share: recited by greedy
-- decoding. held_out_share: the same for paragraphs that were never trained on. Means over near-duplicate clusters.
WITH by_cluster AS (
    SELECT checkpoint_id, corpus_id, training_step, n AS sample_count, p AS probability, near_duplicate_cluster,
           duplication_count IS NOT DISTINCT FROM 0 AS is_held_out,
           avg(discoverable(scores.continuation_logprob_nats, n, p)::INTEGER)  AS discoverable_share,
           avg(scored_paragraphs.is_memorized::INTEGER)                        AS greedy_share
    FROM scores
    JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
    CROSS JOIN (SELECT unnest([1, 10, 100, 1000, 1000000]) AS n)
    CROSS JOIN (SELECT unnest([0.1, 0.5, 0.9, 0.999]) AS p)
    GROUP BY ALL
),
by_effort AS (
    SELECT checkpoint_id, corpus_id, training_step, sample_count, probability,
           avg(discoverable_share) FILTER (NOT is_held_out)  AS discoverable_share,
           avg(discoverable_share) FILTER (is_held_out)      AS held_out_share,
           avg(greedy_share) FILTER (NOT is_held_out)        AS greedy_share,
           count(*) FILTER (NOT is_held_out)                 AS cluster_count
    FROM by_cluster
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, sample_count, probability::DOUBLE AS probability, discoverable_share,
       wilson_lower(discoverable_share, cluster_count)  AS lower,
       wilson_upper(discoverable_share, cluster_count)  AS upper,
       held_out_share, greedy_share, cluster_count
FROM by_effort
ORDER BY training_step, checkpoint_id, sample_count, probability
