-- One row per unlearning or editing run after its last step: what was forgotten beside what else went with it.
-- perplexity: exponential of the mean continuation NLL of held-out text.
WITH last_step AS (
    SELECT *
    FROM edits
    QUALIFY step = max(step) OVER (PARTITION BY checkpoint_id, protocol, objective, selection, target)
)
SELECT checkpoint_id, protocol, objective, selection, target, any_value(step) AS step,
       any_value(weight_count) AS weight_count,
       any_value(exact_match_before) FILTER (evaluation_set = 'targets')          AS target_exact_match_before,
       any_value(exact_match) FILTER (evaluation_set = 'targets')                 AS target_exact_match,
       any_value(replacement_match) FILTER (evaluation_set = 'targets')           AS replacement_match,
       any_value(exact_match) FILTER (evaluation_set = 'near_duplicates')         AS near_duplicate_exact_match,
       any_value(exact_match) FILTER (evaluation_set = 'held_out_targets')        AS held_out_exact_match,
       any_value(exact_match) FILTER (evaluation_set = 'other_memorized')         AS other_memorized_exact_match,
       any_value(exact_match_before) FILTER (evaluation_set = 'controls')         AS control_exact_match_before,
       any_value(exact_match) FILTER (evaluation_set = 'controls')                AS control_exact_match,
       exp(any_value(nll_before_nats) FILTER (evaluation_set = 'unrelated'))      AS unrelated_perplexity_before,
       exp(any_value(nll_nats) FILTER (evaluation_set = 'unrelated'))             AS unrelated_perplexity,
       any_value(kl_nats) AS kl_nats, bool_or(is_diverged) AS is_diverged
FROM last_step
GROUP BY checkpoint_id, protocol, objective, selection, target
