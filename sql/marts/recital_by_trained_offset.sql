-- One row per checkpoint, tested offset, number of exposures and distance to the nearest offset at which training showed the
-- paragraph (both in bins of doubling width): is a paragraph recited where it was trained, or anywhere? recited_share of clusters
-- with 95 % Wilson interval; null_share: over all distances at the same offset and as many exposures (who is shown often is
-- shown nearer, too), what every row would show if distance did not matter.
WITH tried AS (
    SELECT checkpoint_id, corpus_id, training_step, paragraph_id, near_duplicate_cluster, preceding_length,
           recall_by_offset.is_recited
    FROM recall_by_offset
    JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
    WHERE preceding_text = 'unrelated' AND context_length = prefix_length
),
measured AS (
    SELECT tried.*, min(abs(preceding_length - shown.sequence_offset)) AS distance, count(*) AS exposure_count
    FROM tried
    JOIN exposures AS shown
      ON shown.corpus_id = tried.corpus_id AND shown.paragraph_id = tried.paragraph_id AND shown.is_whole
     AND shown.training_step <= tried.training_step AND tried.checkpoint_id GLOB shown.checkpoints
    GROUP BY ALL
),
by_cluster AS (
    SELECT checkpoint_id, corpus_id, training_step, preceding_length,
           1 << floor(log2(exposure_count))::INTEGER                                   AS least_exposures,
           CASE WHEN distance > 0 THEN 1 << floor(log2(distance))::INTEGER ELSE 0 END  AS least_distance,
           near_duplicate_cluster,
           avg(is_recited::INTEGER)  AS recited_share
    FROM measured
    GROUP BY ALL
),
overall AS (
    SELECT checkpoint_id, preceding_length, least_exposures, avg(recited_share) AS null_share
    FROM by_cluster
    GROUP BY ALL
),
counted AS (
    SELECT checkpoint_id, corpus_id, training_step, preceding_length, least_exposures, least_distance,
           avg(recited_share) AS recited_share, count(*) AS cluster_count
    FROM by_cluster
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, preceding_length, least_exposures, least_distance, recited_share,
       wilson_lower(recited_share, cluster_count)  AS lower,
       wilson_upper(recited_share, cluster_count)  AS upper,
       null_share, cluster_count
FROM counted
JOIN overall USING (checkpoint_id, preceding_length, least_exposures)
ORDER BY training_step, checkpoint_id, preceding_length, least_exposures, least_distance
