-- Mean surprisal by exact-match bin of a checkpoint, bins in the order of their lower edge.
SELECT *
FROM rarity_by_em_bin
WHERE checkpoint_id = $checkpoint_id
ORDER BY part DESC, split_part(em_bin, '-', 1)::INTEGER
