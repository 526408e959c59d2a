-- One row per checkpoint, memorized or not, and policy: how much of the EM drop of a token is the token's own, how much is
-- which replacement was drawn? reliability: share of the variance of the mean over draws, within paragraphs, that another
-- set of draws would find again (one-way intraclass correlation, mean over clusters of both variances). single_reliability:
-- the same of one draw. Empty with fewer than two draws.
WITH by_token AS (
    SELECT checkpoint_id, is_memorized, near_duplicate_cluster, paragraph_id, position, policy, is_main_policy,
           avg(em_drop) AS em_drop, var_samp(em_drop) AS between_draws, count(*) AS draw_count
    FROM prefix_changes
    GROUP BY ALL
),
by_paragraph AS (
    SELECT checkpoint_id, is_memorized, policy, is_main_policy, near_duplicate_cluster, draw_count,
           var_samp(em_drop) AS between_tokens, avg(between_draws) AS between_draws
    FROM by_token
    WHERE draw_count > 1
    GROUP BY ALL
),
pooled AS (
    SELECT checkpoint_id, is_memorized, policy, is_main_policy, max(draw_count) AS draw_count,
           avg(between_tokens) AS between_tokens, avg(between_draws) AS between_draws,
           count(DISTINCT near_duplicate_cluster) AS cluster_count
    FROM by_paragraph
    GROUP BY ALL
),
parted AS (
    SELECT *, greatest(0, between_tokens - between_draws / draw_count) AS own
    FROM pooled
)
SELECT checkpoint_id, is_memorized, policy, is_main_policy, draw_count,
       own / nullif(between_tokens, 0)         AS reliability,
       own / nullif(own + between_draws, 0)    AS single_reliability,
       cluster_count
FROM parted
ORDER BY checkpoint_id, is_memorized, is_main_policy DESC, policy
