-- Does editing write the new continuation in place of the old one?
-- replacement_match: leading tokens of the PMP's continuation written; random_*: with as many random weights.
SELECT wanted.protocol, wanted.selection, wanted.cluster_count, wanted.before AS replacement_match_before,
       wanted.estimate AS replacement_match, wanted.lower, wanted.upper, wanted.random_estimate AS random_replacement_match,
       old.estimate AS exact_match, old.random_estimate AS random_exact_match
FROM edit_summaries AS wanted
LEFT JOIN edit_summaries AS old
       ON old.checkpoint_id = wanted.checkpoint_id AND old.protocol = wanted.protocol AND old.objective = wanted.objective
      AND old.selection = wanted.selection AND old.evaluation_set = wanted.evaluation_set AND old.measure = 'exact_match'
WHERE wanted.checkpoint_id = chosen_checkpoint() AND wanted.objective = 'edit' AND wanted.evaluation_set = 'targets'
  AND wanted.measure = 'replacement_match'
ORDER BY wanted.protocol, replacement_match DESC, wanted.selection
