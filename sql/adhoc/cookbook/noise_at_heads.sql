-- Noise on which weights breaks recital most?
-- At the strongest noise tried, beside as many random weights (random_*) and text that is not memorized (others_*).
WITH strongest AS (
    SELECT *
    FROM edit_noise
    WHERE checkpoint_id = chosen_checkpoint()
    QUALIFY strength = max(strength) OVER ()
)
SELECT ours.region, concat_ws('.', ours.layer, ours.component, ours.head) AS name, ours.strength, ours.weight_count,
       ours.exact_match_mean, ours.lower, ours.upper, random.exact_match_mean AS random_exact_match,
       random.lower AS random_lower, random.upper AS random_upper, others.exact_match_mean AS others_exact_match
FROM strongest AS ours
LEFT JOIN strongest AS random ON random.region = 'random' AND random.paragraph_group = 'MP'
LEFT JOIN strongest AS others
       ON others.paragraph_group = 'NMP' AND others.region = ours.region AND others.layer IS NOT DISTINCT FROM ours.layer
      AND others.component IS NOT DISTINCT FROM ours.component AND others.head IS NOT DISTINCT FROM ours.head
WHERE ours.paragraph_group = 'MP' AND ours.region <> 'random'
ORDER BY ours.exact_match_mean, name
LIMIT 10
