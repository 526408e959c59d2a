-- Does what training read lately recite better than what it read long ago, at as many exposures?
-- least_*: lower end of a bin of doubling width. null_*: over all recencies of as many exposures.
SELECT least_exposures, least_steps_ago, memorized_share, lower, upper, null_share, continuation_nll_nats, nll_lower, nll_upper,
       null_nll_nats, cluster_count
FROM memorization_by_recency
WHERE checkpoint_id = chosen_checkpoint() AND least_exposures > 0
ORDER BY least_exposures, least_steps_ago
