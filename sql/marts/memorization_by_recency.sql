-- One row per checkpoint, number of exposures (bins of doubling width) and steps since the last one (likewise): does what was
-- read lately recite better? Shares and means over near-duplicate clusters with 95 % intervals. null_share, null_nll_nats:
-- the same over all recencies of as many exposures, what every row would show if the time since did not matter.
WITH binned AS (
    SELECT *, CASE WHEN exposure_count > 0 THEN 1 << floor(log2(exposure_count))::INTEGER ELSE 0 END   AS least_exposures,
           CASE WHEN steps_ago > 0 THEN 1 << floor(log2(steps_ago))::INTEGER ELSE steps_ago END        AS least_steps_ago
    FROM paragraph_exposures
),
by_cluster AS (
    SELECT checkpoint_id, corpus_id, training_step, least_exposures, least_steps_ago, near_duplicate_cluster,
           avg(is_memorized::INTEGER)  AS memorized_share,
           avg(exact_match)            AS exact_match,
           avg(continuation_nll_nats)  AS nll_nats
    FROM binned
    GROUP BY ALL
),
of_exposures AS (
    SELECT checkpoint_id, least_exposures, avg(memorized_share) AS null_share, avg(nll_nats) AS null_nll_nats
    FROM by_cluster
    GROUP BY ALL
),
counted AS (
    SELECT checkpoint_id, corpus_id, training_step, least_exposures, least_steps_ago,
           avg(memorized_share)    AS memorized_share,
           avg(exact_match)        AS exact_match_mean,
           avg(nll_nats)           AS continuation_nll_nats,
           mean_lower(nll_nats, 0) AS nll_lower,
           mean_upper(nll_nats)    AS nll_upper,
           count(*)                AS cluster_count
    FROM by_cluster
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, least_exposures, least_steps_ago, memorized_share,
       wilson_lower(memorized_share, cluster_count)  AS lower,
       wilson_upper(memorized_share, cluster_count)  AS upper,
       null_share, exact_match_mean, continuation_nll_nats, nll_lower, nll_upper, null_nll_nats, cluster_count
FROM counted
JOIN of_exposures USING (checkpoint_id, least_exposures)
ORDER BY training_step, checkpoint_id, least_exposures, least_steps_ago
