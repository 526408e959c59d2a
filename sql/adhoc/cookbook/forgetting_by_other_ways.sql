-- Is it forgotten when one asks in other ways?
-- Share of the continuation recited with a perturbed, shorter or longer prefix, and the chance that sampling recites it all.
SELECT protocol, selection, measure AS probe, cluster_count, before, estimate AS after, lower, upper,
       random_estimate AS random_after, all_estimate AS all_after
FROM edit_summaries
WHERE checkpoint_id = chosen_checkpoint() AND objective = 'unlearn' AND evaluation_set = 'targets'
  AND (measure LIKE '%_prefix' OR measure LIKE 'sampled_at_%')
ORDER BY protocol, probe, selection
