-- Mean surprisal by exact-match bin of a checkpoint.
SELECT * FROM rarity_by_em_bin WHERE checkpoint_id = $checkpoint_id
