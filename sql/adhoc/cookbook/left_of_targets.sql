-- What does unlearning leave of its targets, beside as many random weights and all weights?
-- exact_match: tokens still recited after the last step, mean over clusters; difference: minus the random weights'.
SELECT protocol, selection, cluster_count, before AS exact_match_before, estimate AS exact_match, lower, upper,
       random_estimate AS random_exact_match, random_difference AS difference, random_lower AS difference_lower,
       random_upper AS difference_upper, all_estimate AS all_exact_match
FROM edit_summaries
WHERE checkpoint_id = chosen_checkpoint() AND objective = 'unlearn' AND evaluation_set = 'targets'
  AND measure = 'exact_match'
ORDER BY protocol, exact_match, selection
