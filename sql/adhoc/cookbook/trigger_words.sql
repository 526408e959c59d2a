-- Which tokens are triggers most often, over all paragraphs?
SELECT token, count(*) AS seen_count, avg(em_drop) AS em_drop_mean, any_value(surprisal_bits) AS surprisal_bits
FROM triggers
WHERE checkpoint_id = chosen_checkpoint() AND is_memorized AND em_drop IS NOT NULL
GROUP BY token
HAVING seen_count >= 3
ORDER BY em_drop_mean DESC, token
LIMIT 15
