-- EM drop of every perturbed position of a checkpoint, mean over policies and draws.
SELECT paragraph_id, position, avg(em_drop) AS em_drop
FROM perturbations
WHERE checkpoint_id = $checkpoint_id
GROUP BY ALL
