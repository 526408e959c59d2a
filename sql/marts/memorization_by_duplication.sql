-- One row per checkpoint and number of copies in training: the share of paragraphs recited in full.
-- lower, upper: 95 % Wilson interval over near-duplicate clusters. null_share: what every rung would show if copies did
-- not matter (the share over all paragraphs). The rung of 0 copies was never trained on: recital there is guessing.
WITH rung AS (
    SELECT checkpoint_id, corpus_id, duplication_count,
           avg(memorized_share)           AS memorized_share,
           avg(exact_match_mean)          AS exact_match_mean,
           stddev_samp(exact_match_mean) / sqrt(count(*)) AS exact_match_standard_error,
           count(*)                       AS cluster_count,
           sum(paragraph_count)::BIGINT   AS paragraph_count,
           sum(memorized_count)::BIGINT   AS memorized_count
    FROM cluster_scores
    WHERE duplication_count IS NOT NULL
    GROUP BY ALL
),
overall AS (
    SELECT checkpoint_id, avg(memorized_share) AS null_share FROM cluster_scores WHERE duplication_count IS NOT NULL GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, duplication_count, memorized_share,
       wilson_lower(memorized_share, cluster_count) AS lower,
       wilson_upper(memorized_share, cluster_count) AS upper,
       null_share, exact_match_mean, exact_match_standard_error, cluster_count, paragraph_count, memorized_count
FROM rung
JOIN overall USING (checkpoint_id)
JOIN checkpoints USING (checkpoint_id, corpus_id)
ORDER BY training_step, checkpoint_id, duplication_count
