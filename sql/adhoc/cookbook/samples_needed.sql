-- How many samples does it take to see each recited paragraph once, with probability one half?
SELECT duplication_count, count(*) AS paragraph_count, median(samples_needed(continuation_logprob_nats, 0.5)) AS samples_median,
       max(samples_needed(continuation_logprob_nats, 0.5)) AS samples_max
FROM scored_paragraphs
JOIN scores USING (checkpoint_id, paragraph_id, is_memorized)
WHERE checkpoint_id = chosen_checkpoint() AND is_memorized
GROUP BY ALL
ORDER BY duplication_count
