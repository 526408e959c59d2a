-- One row per series and checkpoint before its last: how well "recited here" predicts "recited by the last checkpoint".
-- Clusters are the unit (memorized: at least half of the paragraphs). precision_null: what as many clusters drawn at random
-- would reach (the share memorized at the end); recall_null: the share of all clusters predicted. Intervals: Wilson, 95 %;
-- NULL below three predicted or memorized clusters.
WITH clusters AS (
    SELECT series.corpus_id, series_id, scores.checkpoint_id, series.training_step, is_last, duplication_count,
           near_duplicate_cluster, memorized_share >= 0.5 AS is_memorized
    FROM cluster_scores AS scores
    JOIN checkpoint_series AS series USING (checkpoint_id, corpus_id)
),
paired AS (
    SELECT early.corpus_id, early.series_id, early.checkpoint_id, early.training_step,
           max(late.training_step)                                                AS late_training_step,
           count(*)                                                               AS cluster_count,
           count(*) FILTER (early.is_memorized)                                   AS predicted_count,
           count(*) FILTER (late.is_memorized)                                    AS late_memorized_count,
           count(*) FILTER (early.is_memorized AND late.is_memorized)             AS hit_count
    FROM clusters AS early
    JOIN clusters AS late
      ON (late.corpus_id, late.series_id, late.near_duplicate_cluster)
       = (early.corpus_id, early.series_id, early.near_duplicate_cluster)
     AND late.duplication_count IS NOT DISTINCT FROM early.duplication_count
    WHERE late.is_last AND NOT early.is_last
    GROUP BY ALL
),
shares AS (
    SELECT *,
           hit_count / nullif(predicted_count, 0)        AS precision_share,
           hit_count / nullif(late_memorized_count, 0)   AS recall_share,
           late_memorized_count / cluster_count          AS precision_null,
           predicted_count / cluster_count               AS recall_null
    FROM paired
)
SELECT corpus_id, series_id, checkpoint_id, training_step, late_training_step,
       precision_share,
       wilson_lower(precision_share, predicted_count) AS precision_lower,
       wilson_upper(precision_share, predicted_count) AS precision_upper,
       precision_null,
       recall_share,
       wilson_lower(recall_share, late_memorized_count) AS recall_lower,
       wilson_upper(recall_share, late_memorized_count) AS recall_upper,
       recall_null, predicted_count, late_memorized_count, hit_count, cluster_count
FROM shares
ORDER BY corpus_id, series_id, training_step
