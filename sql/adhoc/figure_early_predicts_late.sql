-- How well does each earlier checkpoint of a checkpoint's series predict what the last one recites?
SELECT *
FROM early_predicts_late
WHERE (corpus_id, series_id) IN (SELECT (corpus_id, series_id) FROM checkpoint_series WHERE checkpoint_id = $checkpoint_id)
ORDER BY training_step
