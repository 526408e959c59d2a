-- Heads of a checkpoint, those whose attention goes with rarity most (either way) first.
SELECT DISTINCT head_attention.layer, head_attention.head, spearman, abs(spearman) AS strength
FROM head_attention
LEFT JOIN attention_against_rarity ON attention_against_rarity.checkpoint_id = $checkpoint_id
    AND attention_against_rarity.layer = head_attention.layer AND attention_against_rarity.head = head_attention.head
    AND paragraph_group = 'all'
WHERE head_attention.checkpoint_id = $checkpoint_id
ORDER BY strength DESC NULLS LAST, head_attention.layer, head_attention.head
