-- Do heads look at rare tokens more in memorized paragraphs?
SELECT memorized.head_ref, memorized.spearman AS memorized_spearman, memorized.spearman_lower, memorized.spearman_upper,
       other.spearman AS other_spearman, memorized.spearman - other.spearman AS difference
FROM attention_against_rarity AS memorized
JOIN attention_against_rarity AS other USING (checkpoint_id, layer, head)
WHERE checkpoint_id = chosen_checkpoint() AND memorized.paragraph_group = 'MP' AND other.paragraph_group = 'NMP'
ORDER BY difference DESC NULLS LAST, memorized.head_ref
LIMIT 12
