-- How much more exact match do paragraphs gain over a checkpoint's series the more often they are shown, over controls?
SELECT *
FROM duplication_effect
WHERE (corpus_id, series_id) IN (SELECT (corpus_id, series_id) FROM checkpoint_series WHERE checkpoint_id = $checkpoint_id)
ORDER BY training_step, duplication_count
