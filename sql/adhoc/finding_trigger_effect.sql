-- What does one standard deviation of rarity add to the EM drop, position and the token's own NLL held fixed?
SELECT term, estimate, lower, upper, placebo_lower, placebo_upper, token_lower, token_upper, cluster_count
FROM trigger_effects
WHERE checkpoint_id = $checkpoint_id AND outcome = 'em_drop' AND adjustment = 'full' AND term IN ('MP', 'NMP')
  AND estimate IS NOT NULL
ORDER BY term
