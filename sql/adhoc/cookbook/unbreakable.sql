-- Which memorized paragraphs survive most changes?
SELECT left(paragraph_id, 12) AS paragraph, avg((em_drop = 0)::INTEGER) AS unharmed_share, avg(em_drop) AS em_drop_mean,
       any_value(duplication_count) AS duplication_count
FROM triggers
WHERE checkpoint_id = chosen_checkpoint() AND is_memorized AND em_drop IS NOT NULL
GROUP BY paragraph
ORDER BY unharmed_share DESC, paragraph
LIMIT 10
