-- Mean attention by rarity rank of every head of a checkpoint.
SELECT * FROM attention_by_rarity_rank WHERE checkpoint_id = $checkpoint_id ORDER BY layer, head, prefix_rarity_rank
