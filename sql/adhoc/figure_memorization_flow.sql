-- Clusters gained, kept and forgotten at each checkpoint of the series that a checkpoint belongs to, over all copies.
SELECT training_step,
       sum(gained_count + recovered_count) AS new_count,
       sum(kept_count)                     AS kept_count,
       sum(forgotten_count)                AS forgotten_count
FROM memorization_flow
WHERE (corpus_id, series_id) IN (SELECT (corpus_id, series_id) FROM checkpoint_series WHERE checkpoint_id = $checkpoint_id)
GROUP BY training_step
ORDER BY training_step
