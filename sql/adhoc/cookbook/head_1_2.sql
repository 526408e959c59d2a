-- Where does the papers' head, layer 1 head 2, stand among all heads?
SELECT head_ref, spearman, rank_among_heads, q_value, summed_by_rank, summed_uniform_null,
       (SELECT count(*) FROM attention_against_rarity AS other
        WHERE other.checkpoint_id = chosen_checkpoint() AND other.paragraph_group = 'all') AS head_count
FROM attention_against_rarity
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_group = 'all' AND layer = 1 AND head = 2
