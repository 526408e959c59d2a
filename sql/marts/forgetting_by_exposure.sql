-- One row per checkpoint and number of exposures since the checkpoint before it in its series (bins of doubling width): of
-- the clusters recited there, which are still recited here? kept_share with 95 % Wilson interval; null_share: over all, what
-- every row would show if reading again did not matter. steps_ago_mean: steps since the last exposure.
WITH placed AS (
    SELECT paragraph_exposures.*, series_id, series_index
    FROM paragraph_exposures
    JOIN checkpoint_series USING (checkpoint_id, corpus_id)
),
paired AS (
    SELECT later.*, later.exposure_count - earlier.exposure_count AS again_count, earlier.checkpoint_id AS earlier_checkpoint_id
    FROM placed AS later
    JOIN placed AS earlier
      ON earlier.series_id = later.series_id AND earlier.series_index = later.series_index - 1
     AND earlier.corpus_id = later.corpus_id AND earlier.paragraph_id = later.paragraph_id
    WHERE earlier.is_memorized
),
by_cluster AS (
    SELECT checkpoint_id, corpus_id, training_step, earlier_checkpoint_id,
           CASE WHEN again_count > 0 THEN 1 << floor(log2(again_count))::INTEGER ELSE 0 END  AS least_again,
           near_duplicate_cluster,
           avg(is_memorized::INTEGER)  AS kept_share,
           avg(steps_ago)              AS steps_ago
    FROM paired
    GROUP BY ALL
),
overall AS (
    SELECT checkpoint_id, avg(kept_share) AS null_share FROM by_cluster GROUP BY ALL
),
counted AS (
    SELECT checkpoint_id, corpus_id, training_step, earlier_checkpoint_id, least_again, avg(kept_share) AS kept_share,
           avg(steps_ago) AS steps_ago_mean, count(*) AS cluster_count
    FROM by_cluster
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, earlier_checkpoint_id, least_again, kept_share,
       wilson_lower(kept_share, cluster_count)  AS lower,
       wilson_upper(kept_share, cluster_count)  AS upper,
       null_share, steps_ago_mean, cluster_count
FROM counted
JOIN overall USING (checkpoint_id)
ORDER BY training_step, checkpoint_id, least_again
