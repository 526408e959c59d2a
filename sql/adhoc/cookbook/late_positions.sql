-- Does a change late in the prefix cost more?
SELECT is_memorized, position // 10 * 10 AS from_position, avg(em_drop_mean) AS em_drop_mean, any_value(flat_null) AS flat_null
FROM em_drop_by_position
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY ALL
ORDER BY is_memorized DESC, from_position
