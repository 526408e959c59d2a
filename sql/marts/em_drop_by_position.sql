-- One row per checkpoint, memorized or not, and prefix position: how much one changed token costs.
-- em_drop_mean: tokens of exact match lost, mean over clusters (near duplicates count once), main policy.
-- flat_null: what every position would cost if position did not matter (mean over positions).
WITH by_cluster AS (
    SELECT checkpoint_id, is_memorized, position, near_duplicate_cluster, avg(em_drop) AS em_drop,
           avg(delta_nll_nats) AS delta_nll_nats
    FROM prefix_changes
    WHERE is_main_policy
    GROUP BY ALL
),
summary AS (
    SELECT checkpoint_id, is_memorized, position, avg(em_drop) AS em_drop_mean,
           mean_lower(em_drop) AS lower, mean_upper(em_drop) AS upper,
           avg(delta_nll_nats) AS delta_nll_nats_mean, count(*) AS cluster_count
    FROM by_cluster
    GROUP BY ALL
)
SELECT checkpoint_id, is_memorized, position, em_drop_mean, lower, upper,
       avg(em_drop_mean) OVER (PARTITION BY checkpoint_id, is_memorized) AS flat_null, delta_nll_nats_mean, cluster_count
FROM summary
ORDER BY checkpoint_id, is_memorized, position
