-- EM drop and change of NLL at every perturbed position of a checkpoint, mean over the draws of the main policy.
SELECT paragraph_id, position, avg(em_drop) AS em_drop, avg(delta_nll_nats) AS delta_nll_nats
FROM prefix_changes
WHERE checkpoint_id = $checkpoint_id AND is_main_policy
GROUP BY ALL
