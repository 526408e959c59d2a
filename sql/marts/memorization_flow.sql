-- One row per checkpoint of a series and number of copies in training: clusters memorized for the first time at it,
-- kept from before, and forgotten since. A cluster counts as memorized when half of its paragraphs are recited in full.
-- null_gained_count: what would be gained if copies did not matter (the share gained over all copies, times the clusters).
WITH clusters AS (
    SELECT series.corpus_id, series_id, series.training_step, series_index, scores.checkpoint_id, duplication_count,
           near_duplicate_cluster, memorized_share >= 0.5 AS is_memorized
    FROM cluster_scores AS scores
    JOIN checkpoint_series AS series USING (checkpoint_id, corpus_id)
),
followed AS (
    SELECT *,
           coalesce(bool_or(is_memorized) OVER earlier, false)        AS was_ever,
           coalesce(lag(is_memorized) OVER in_order, false)           AS was_before
    FROM clusters
    WINDOW in_order AS (PARTITION BY corpus_id, series_id, duplication_count, near_duplicate_cluster ORDER BY series_index),
           earlier AS (in_order ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
),
counted AS (
    SELECT corpus_id, series_id, checkpoint_id, training_step, duplication_count,
           count(*) FILTER (is_memorized AND NOT was_ever)                     AS gained_count,
           count(*) FILTER (is_memorized AND was_before)                       AS kept_count,
           count(*) FILTER (is_memorized AND was_ever AND NOT was_before)      AS recovered_count,
           count(*) FILTER (was_before AND NOT is_memorized)                   AS forgotten_count,
           count(*)                                                            AS cluster_count
    FROM followed
    GROUP BY ALL
)
SELECT *,
       cluster_count * sum(gained_count) OVER whole / sum(cluster_count) OVER whole AS null_gained_count
FROM counted
WINDOW whole AS (PARTITION BY corpus_id, series_id, checkpoint_id)
ORDER BY corpus_id, series_id, training_step, duplication_count
