-- Do rare tokens trigger recital more than position alone says?
SELECT is_memorized, rarity_fifth, em_drop_mean, lower, upper, position_matched_em_drop, placebo_em_drop, cluster_count
FROM em_drop_by_rarity
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY is_memorized DESC, rarity_fifth
