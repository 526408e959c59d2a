-- What does rarity add when position and the token's own NLL are held fixed?
SELECT outcome, adjustment, term, estimate, lower, upper, placebo_lower, placebo_upper, token_lower, token_upper
FROM trigger_effects
WHERE checkpoint_id = chosen_checkpoint() AND term IN ('all', 'MP', 'NMP')
ORDER BY outcome, term, adjustment
