-- How did recital change between two checkpoints, by copies in training?
-- lower, upper: 95 % Wilson intervals of the shares; of the change in tokens over near-duplicate clusters. Clusters of 0 copies
-- were never trained on: what changes there is the null.
WITH change AS (
    SELECT after.duplication_count, after.exact_match_mean - before.exact_match_mean AS change_tokens
    FROM cluster_scores AS after
    JOIN cluster_scores AS before USING (corpus_id, duplication_count, near_duplicate_cluster)
    WHERE after.checkpoint_id = $after AND before.checkpoint_id = $before
),
changed AS (
    SELECT duplication_count, avg(change_tokens) AS change_tokens, mean_lower(change_tokens) AS change_lower,
           mean_upper(change_tokens) AS change_upper
    FROM change
    GROUP BY ALL
)
SELECT after.duplication_count, after.cluster_count, before.memorized_share AS share_before, before.lower AS lower_before,
       before.upper AS upper_before, after.memorized_share AS share_after, after.lower AS lower_after,
       after.upper AS upper_after, change_tokens, change_lower, change_upper
FROM memorization_by_duplication AS after
JOIN memorization_by_duplication AS before ON before.duplication_count = after.duplication_count AND before.checkpoint_id = $before
LEFT JOIN changed ON changed.duplication_count = after.duplication_count
WHERE after.checkpoint_id = $after
ORDER BY after.duplication_count
