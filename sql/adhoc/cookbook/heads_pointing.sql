-- Which heads point at the strongest trigger more often than position says?
SELECT layer || '.' || head AS head_ref, statistic, estimate, lower, upper, chance, position_matched, q_value
FROM head_pointing
WHERE checkpoint_id = chosen_checkpoint() AND statistic = 'top_hit'
ORDER BY estimate - position_matched DESC NULLS LAST, head_ref
LIMIT 10
