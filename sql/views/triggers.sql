-- One row per checkpoint, perturbed paragraph and prefix token: rarity, what changing the token does, who looks at it.
-- is_memorized, is_stand_in: as in prefix_changes.
-- em_drop, delta_nll_nats: mean over the draws of the main policy; empty where the position was not perturbed (position 0).
-- replacement_surprisal_bits: how rare what took its place is in the corpus, mean over the draws; empty for deletions.
-- attention: map from 'layer.head' to the weight the first continuation position puts on this token.
-- activation_gradient: largest gradient of the continuation loss over layers, heads and q, k, v at this token.
WITH effect AS (
    SELECT checkpoint_id, paragraph_id, position, any_value(reference) AS reference, avg(em_drop) AS em_drop,
           avg(delta_nll_nats) AS delta_nll_nats, count(*) AS draw_count,
           avg(replacement.surprisal_bits) AS replacement_surprisal_bits
    FROM prefix_changes
    LEFT JOIN unigrams AS replacement
      ON replacement.corpus_id = prefix_changes.corpus_id AND replacement.token_id = prefix_changes.replacement_id
    WHERE is_main_policy
    GROUP BY ALL
),
measured AS (
    SELECT DISTINCT checkpoint_id, paragraph_id, is_memorized, is_stand_in FROM prefix_changes
),
gradient AS (
    SELECT checkpoint_id, paragraph_id, position, max(score) AS activation_gradient
    FROM activation_gradients
    GROUP BY ALL
)
SELECT measured.checkpoint_id, paragraph_id, position, token_id, token, token_count, surprisal_bits, rarity_rank,
       prefix_rarity_rank, prefix_rarity_percentile, measured.is_memorized, is_stand_in, exact_match, effect.em_drop,
       effect.delta_nll_nats, effect.draw_count, effect.replacement_surprisal_bits, prefix_attention.attention, gradient.activation_gradient,
       token_scores.nll_nats AS token_nll_nats, prefix_tokens.duplication_count,
       prefix_tokens.near_duplicate_cluster
FROM measured
JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
JOIN prefix_tokens USING (corpus_id, paragraph_id)
LEFT JOIN effect USING (checkpoint_id, paragraph_id, position)
LEFT JOIN gradient USING (checkpoint_id, paragraph_id, position)
LEFT JOIN prefix_attention USING (checkpoint_id, paragraph_id, position)
LEFT JOIN token_scores USING (checkpoint_id, paragraph_id, position, token_id)
