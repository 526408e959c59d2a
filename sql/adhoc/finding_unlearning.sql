-- What does unlearning with few weights leave of the target and of other text, beside random and all weights?
SELECT selection, evaluation_set, estimate, lower, upper, random_estimate, random_lower, random_upper, all_estimate,
       all_lower, all_upper, before, cluster_count
FROM edit_summaries
WHERE checkpoint_id = $checkpoint_id AND protocol = 'single' AND objective = 'unlearn' AND measure = 'exact_match'
  AND evaluation_set IN ('targets', 'controls') AND selection LIKE 'top:%'
ORDER BY selection, evaluation_set DESC
