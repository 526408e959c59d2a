-- Attention against rarity of every head, all paragraphs of a checkpoint.
SELECT * FROM attention_against_rarity WHERE checkpoint_id = $checkpoint_id AND paragraph_group = 'all'
