-- Which paragraphs came into the sample, and why, where it was screened for recital?
SELECT sampling_group, count(*) AS paragraph_count, avg(screened_exact_match) AS exact_match_mean, sum(weight) AS corpus_window_count,
       avg(inclusion_probability) AS inclusion_probability_mean
FROM paragraph_weights
JOIN checkpoints USING (corpus_id)
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY ALL
ORDER BY exact_match_mean DESC
