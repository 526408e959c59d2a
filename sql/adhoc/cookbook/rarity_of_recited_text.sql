-- Is recited text rarer than other text?
SELECT part, em_bin, surprisal_bits_mean, lower, upper, placebo_bits, cluster_count
FROM rarity_by_em_bin
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY part DESC, split_part(em_bin, '-', 1)::INTEGER
