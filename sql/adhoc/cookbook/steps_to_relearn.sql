-- How many steps bring an unlearned recital back?
-- The row never_memorized is the null: text the model never recited. Runs not back at the limit count as limit + 1.
SELECT protocol, selection, count(*) AS run_count, avg(after) AS steps_mean, min(after) AS steps_least,
       max(after) AS steps_most, count(*) FILTER (is_censored) AS not_back_count
FROM edit_robustness
WHERE checkpoint_id = chosen_checkpoint() AND probe = 'relearning_steps'
GROUP BY protocol, selection
ORDER BY protocol = 'never_memorized', protocol, steps_mean, selection
