-- How much noise on the weights of a head or component does recital stand?
SELECT region, concat_ws('.', layer, component, head) AS name, strength, paragraph_group, exact_match_mean, lower, upper,
       nll_nats_mean, weight_count
FROM edit_noise
WHERE checkpoint_id = $checkpoint_id
ORDER BY region, layer, component, head, strength
