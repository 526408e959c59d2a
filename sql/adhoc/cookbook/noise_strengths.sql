-- How much noise on the weights does recital stand?
-- Mean over heads or components and the worst of them, beside the same noise on as many random weights.
SELECT ours.strength, ours.paragraph_group, ours.region, count(*) AS region_count, avg(ours.exact_match_mean) AS exact_match_mean,
       min(ours.exact_match_mean) AS exact_match_least, any_value(random.exact_match_mean) AS random_exact_match,
       any_value(random.lower) AS random_lower, any_value(random.upper) AS random_upper
FROM edit_noise AS ours
LEFT JOIN edit_noise AS random
       ON random.checkpoint_id = ours.checkpoint_id AND random.region = 'random' AND random.strength = ours.strength
      AND random.paragraph_group = ours.paragraph_group
WHERE ours.checkpoint_id = chosen_checkpoint() AND ours.region <> 'random'
GROUP BY ours.strength, ours.paragraph_group, ours.region
ORDER BY ours.region, ours.paragraph_group, ours.strength
