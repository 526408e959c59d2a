-- What does one standard deviation of rarity add to the EM drop, position, the token's own NLL and the rarity of what takes
-- its place held fixed? reliability: share of the variance that another set of draws would find again.
SELECT term, estimate, lower, upper, placebo_lower, placebo_upper, token_lower, token_upper,
       trigger_effects.cluster_count, policy, draw_count, reliability
FROM trigger_effects
LEFT JOIN em_drop_reliability
  ON em_drop_reliability.checkpoint_id = trigger_effects.checkpoint_id AND is_main_policy
 AND is_memorized = (term = 'MP')
WHERE trigger_effects.checkpoint_id = $checkpoint_id AND outcome = 'em_drop' AND adjustment = 'full'
  AND term IN ('MP', 'NMP') AND estimate IS NOT NULL
ORDER BY term
