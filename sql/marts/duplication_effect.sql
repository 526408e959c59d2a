-- One row per series, checkpoint after its first, and number of copies: difference in differences of exact match.
-- effect_tokens: mean gain of exact match since the series' first checkpoint in the clusters shown so often, minus the gain
-- of those shown least often (the controls; with held-out paragraphs these were never shown). Interval: Welch's t, 95 %,
-- clusters as units. placebo_tokens: the same between two halves of the controls, dealt by hash; no effect there, so 0.
WITH scored AS (
    SELECT series.corpus_id, series_id, series.training_step, series_index, scores.checkpoint_id, duplication_count,
           near_duplicate_cluster, exact_match_mean
    FROM cluster_scores AS scores
    JOIN checkpoint_series AS series USING (checkpoint_id, corpus_id)
),
gains AS (
    SELECT late.corpus_id, late.series_id, late.checkpoint_id, late.training_step, late.duplication_count,
           late.near_duplicate_cluster, late.exact_match_mean - early.exact_match_mean AS gain,
           md5(late.near_duplicate_cluster::VARCHAR) < '8'                             AS is_first_half,
           late.duplication_count = min(late.duplication_count) OVER (PARTITION BY late.corpus_id, late.series_id) AS is_control
    FROM scored AS late
    JOIN scored AS early USING (corpus_id, series_id, duplication_count, near_duplicate_cluster)
    WHERE early.series_index = 0 AND late.series_index > 0
),
control AS (
    SELECT corpus_id, series_id, checkpoint_id, avg(gain) AS control_gain, var_samp(gain) AS control_variance,
           count(*) AS control_cluster_count,
           avg(gain) FILTER (is_first_half) - avg(gain) FILTER (NOT is_first_half) AS placebo_tokens
    FROM gains
    WHERE is_control
    GROUP BY ALL
),
shown AS (
    SELECT corpus_id, series_id, checkpoint_id, training_step, duplication_count, avg(gain) AS gain_mean,
           var_samp(gain) AS variance, count(*) AS cluster_count
    FROM gains
    WHERE NOT is_control
    GROUP BY ALL
),
compared AS (
    SELECT *, gain_mean - control_gain                                                        AS effect_tokens,
           sqrt(variance / cluster_count + control_variance / control_cluster_count)          AS standard_error,
           welch_degrees(variance, cluster_count, control_variance, control_cluster_count)    AS degrees_of_freedom,
           difference_margin(variance, cluster_count, control_variance, control_cluster_count) AS margin
    FROM shown
    JOIN control USING (corpus_id, series_id, checkpoint_id)
)
SELECT corpus_id, series_id, checkpoint_id, training_step, duplication_count, effect_tokens,
       effect_tokens - margin AS lower,
       effect_tokens + margin AS upper,
       0.0::DOUBLE AS null_tokens, placebo_tokens, gain_mean, control_gain, standard_error, degrees_of_freedom,
       cluster_count, control_cluster_count
FROM compared
ORDER BY corpus_id, series_id, training_step, duplication_count
