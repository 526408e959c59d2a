-- Are the strongest triggers rarer than chance, and than tokens at the same positions elsewhere?
-- rarity_percentile_mean: 1 = rarest token of its prefix, chance 0.5. excess_over_position: what position does not explain.
SELECT is_memorized, rarity_percentile_mean, lower, upper, chance, position_matched, excess_over_position, excess_lower,
       excess_upper, cluster_count
FROM strongest_triggers
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY is_memorized DESC
