-- One row per checkpoint, protocol, objective, selection and step: what is left of targets and of controls.
-- random_* and all_*: the same for as many random weights and for all weights, at the same step.
WITH step_means AS (
    SELECT checkpoint_id, protocol, objective, selection, step,
           avg(exact_match) FILTER (evaluation_set = 'targets')                    AS target_exact_match,
           stddev_samp(exact_match) FILTER (evaluation_set = 'targets')
               / sqrt(count(*) FILTER (evaluation_set = 'targets'))                AS target_standard_error,
           avg(exact_match) FILTER (evaluation_set = 'controls')                   AS control_exact_match,
           stddev_samp(exact_match) FILTER (evaluation_set = 'controls')
               / sqrt(count(*) FILTER (evaluation_set = 'controls'))               AS control_standard_error,
           avg(nll_nats) FILTER (evaluation_set = 'targets')                       AS target_nll_nats,
           avg(nll_nats) FILTER (evaluation_set = 'controls')                      AS control_nll_nats,
           count(DISTINCT target)                                                  AS run_count
    FROM edits
    GROUP BY ALL
)
SELECT ours.*, random_weights.target_exact_match AS random_target_exact_match,
       random_weights.control_exact_match AS random_control_exact_match,
       all_weights.target_exact_match AS all_target_exact_match, all_weights.control_exact_match AS all_control_exact_match
FROM step_means AS ours
LEFT JOIN step_means AS random_weights
       ON random_weights.checkpoint_id = ours.checkpoint_id AND random_weights.protocol = ours.protocol
      AND random_weights.objective = ours.objective AND random_weights.step = ours.step
      AND random_weights.selection = 'random:' || split_part(ours.selection, ':', 2)
LEFT JOIN step_means AS all_weights
       ON all_weights.checkpoint_id = ours.checkpoint_id AND all_weights.protocol = ours.protocol
      AND all_weights.objective = ours.objective AND all_weights.step = ours.step AND all_weights.selection = 'all'
ORDER BY ours.checkpoint_id, ours.protocol, ours.objective, ours.selection, ours.step
