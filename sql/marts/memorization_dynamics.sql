-- One row per series of checkpoints and paragraph that is memorized at some of them: when it was, and when no longer.
-- first_memorized_at, forgotten_at, recovered_at: training steps. Forgotten: the first checkpoint after first_memorized_at
-- that does not recite it; recovered: the first after that which does again. Empty: it did not happen.
WITH scored AS (
    SELECT series.corpus_id, series_id, paragraph_id, series.training_step, series_index, is_last,
           near_duplicate_cluster, duplication_count, is_memorized, exact_match
    FROM scored_paragraphs
    JOIN checkpoint_series AS series USING (checkpoint_id, corpus_id)
),
first_seen AS (
    SELECT corpus_id, series_id, paragraph_id, min(training_step) FILTER (is_memorized) AS first_memorized_at
    FROM scored
    GROUP BY ALL
    HAVING first_memorized_at IS NOT NULL
),
lost AS (
    SELECT corpus_id, series_id, paragraph_id, first_memorized_at,
           min(training_step) FILTER (NOT is_memorized AND training_step > first_memorized_at) AS forgotten_at
    FROM scored
    JOIN first_seen USING (corpus_id, series_id, paragraph_id)
    GROUP BY ALL
)
SELECT corpus_id, series_id, paragraph_id, near_duplicate_cluster, duplication_count, first_memorized_at, forgotten_at,
       min(training_step) FILTER (is_memorized AND training_step > forgotten_at) AS recovered_at,
       count(*) FILTER (is_memorized)                                            AS memorized_checkpoint_count,
       count(*)                                                                  AS checkpoint_count,
       bool_or(is_memorized AND is_last)                                         AS is_memorized_at_end,
       max(exact_match) FILTER (is_last)                                         AS exact_match_at_end
FROM scored
JOIN lost USING (corpus_id, series_id, paragraph_id)
GROUP BY ALL
ORDER BY ALL
