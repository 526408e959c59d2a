-- EM drop by fifth of rarity of a checkpoint.
SELECT * FROM em_drop_by_rarity WHERE checkpoint_id = $checkpoint_id ORDER BY rarity_fifth
