-- One row per checkpoint, text before the paragraph, its length and context: who recites at the start recites there, too?
-- Of clusters recited at the start (same context) the share recited after the text, with 95 % Wilson interval, and of
-- those not recited at the start the share recited there all the same: what chance moves, beside which loss is read.
WITH at_start AS (
    SELECT checkpoint_id, paragraph_id, context_length, is_recited AS is_recited_at_start
    FROM recall_by_offset
    WHERE preceding_length = 0 AND preceding_text = 'unrelated'
),
counted AS (
    SELECT checkpoint_id, corpus_id, training_step, preceding_text, preceding_length, context_length,
           count(*) FILTER (is_recited_at_start)                                    AS start_cluster_count,
           avg(is_recited::INTEGER) FILTER (is_recited_at_start)                    AS kept_share,
           count(*) FILTER (NOT is_recited_at_start)                                AS other_cluster_count,
           avg(is_recited::INTEGER) FILTER (NOT is_recited_at_start)                AS gained_share,
           avg(recall_by_offset.exact_match) FILTER (is_recited_at_start)           AS exact_match_mean
    FROM recall_by_offset
    JOIN at_start USING (checkpoint_id, paragraph_id, context_length)
    JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, preceding_text, preceding_length, context_length,
       kept_share,
       wilson_lower(kept_share, start_cluster_count)  AS lower,
       wilson_upper(kept_share, start_cluster_count)  AS upper,
       gained_share, exact_match_mean, start_cluster_count, other_cluster_count
FROM counted
ORDER BY training_step, checkpoint_id, preceding_text DESC, preceding_length, context_length
