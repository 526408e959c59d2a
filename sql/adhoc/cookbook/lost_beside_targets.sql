-- What else goes when paragraphs are unlearned?
-- Near duplicates of the targets, other memorized text, controls, unrelated text; random_*: as many random weights.
SELECT protocol, selection, evaluation_set, measure, cluster_count, before, estimate AS after, lower, upper,
       random_estimate AS random_after, random_difference AS difference, random_lower AS difference_lower,
       random_upper AS difference_upper
FROM edit_summaries
WHERE checkpoint_id = chosen_checkpoint() AND objective = 'unlearn' AND evaluation_set <> 'targets'
  AND (measure = 'nll_nats' OR measure = 'exact_match' AND evaluation_set <> 'unrelated')
ORDER BY protocol, evaluation_set, measure, selection
