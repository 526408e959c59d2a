-- One row per checkpoint: what it recites in total, and how likely it finds the text.
SELECT checkpoint_id, checkpoints.corpus_id, training_step, architecture, parameter_count,
       sum(memorized_count)::BIGINT                         AS memorized_count,
       sum(paragraph_count)::BIGINT                         AS paragraph_count,
       avg(memorized_share)                                 AS memorized_share,
       avg(exact_match_mean)                                AS exact_match_mean,
       avg(continuation_nll_nats)                           AS continuation_nll_nats,
       avg(continuation_nll_nats) FILTER (duplication_count = 0) AS held_out_nll_nats,
       count(*)                                             AS cluster_count
FROM cluster_scores
JOIN checkpoints USING (checkpoint_id)
GROUP BY ALL
ORDER BY training_step, checkpoint_id
