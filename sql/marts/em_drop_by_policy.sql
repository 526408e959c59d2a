-- One row per checkpoint, memorized or not, and policy of replacement: does it matter what takes the token's place?
-- em_drop_mean: tokens of exact match lost per changed token, mean over clusters, with its 95 % interval.
-- difference: em_drop_mean minus that of the main policy on the same tokens, paired by cluster; 0 if the policy does not
-- matter. unharmed_share: share of changes that cost nothing.
WITH by_cluster AS (
    SELECT checkpoint_id, is_memorized, policy, is_main_policy, near_duplicate_cluster, avg(em_drop) AS em_drop,
           avg(delta_nll_nats) AS delta_nll_nats, avg((em_drop = 0)::INTEGER) AS unharmed_share,
           max(draw) + 1 AS draw_count
    FROM prefix_changes
    GROUP BY ALL
),
paired AS (
    SELECT *, em_drop - max(em_drop) FILTER (is_main_policy) OVER (
                  PARTITION BY checkpoint_id, is_memorized, near_duplicate_cluster) AS difference
    FROM by_cluster
)
SELECT checkpoint_id, is_memorized, policy, is_main_policy,
       avg(em_drop)            AS em_drop_mean,
       mean_lower(em_drop)     AS lower,
       mean_upper(em_drop)     AS upper,
       avg(difference)         AS difference,
       mean_lower(difference)  AS difference_lower,
       mean_upper(difference)  AS difference_upper,
       avg(delta_nll_nats)     AS delta_nll_nats_mean,
       avg(unharmed_share)     AS unharmed_share,
       max(draw_count)         AS draw_count,
       count(*)                AS cluster_count
FROM paired
GROUP BY ALL
ORDER BY checkpoint_id, is_memorized, is_main_policy DESC, policy
