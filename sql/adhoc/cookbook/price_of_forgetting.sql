-- What do the controls keep at the step where half of the targets' recital is gone?
-- The first watched step at which targets recite at most half; empty where none does. random_*: as many random weights then.
WITH watched AS (
    SELECT *, first_value(target_exact_match) OVER (PARTITION BY protocol, objective, selection ORDER BY step) AS at_start
    FROM forgetting_front
    WHERE checkpoint_id = chosen_checkpoint()
),
half_gone AS (
    SELECT protocol, objective, selection, min(step) FILTER (target_exact_match <= at_start / 2) AS step,
           max(step) AS last_step
    FROM watched
    GROUP BY ALL
)
SELECT protocol, objective, selection, half_gone.step, last_step, target_exact_match, control_exact_match,
       control_standard_error, random_target_exact_match, random_control_exact_match
FROM half_gone
LEFT JOIN watched USING (protocol, objective, selection, step)
ORDER BY protocol, objective, control_exact_match DESC NULLS LAST, selection
