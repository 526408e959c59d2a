-- Does it matter by what a token is replaced?
SELECT is_memorized, policy, em_drop_mean, lower, upper, difference, difference_lower, difference_upper, cluster_count
FROM em_drop_by_policy
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY is_memorized DESC, policy
