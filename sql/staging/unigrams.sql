-- One row per token id of the vocabulary: corpus-level count, probability, surprisal and rarity.
-- $unseen is one policy for probability and surprisal, so that surprisal_bits = -log2(probability): 'add_one' smooths over
-- the vocabulary, every surprisal is finite and unseen tokens share rank 0; 'null' does not smooth: unseen tokens have
-- probability 0, and neither surprisal nor rank.
WITH summed AS (
    SELECT vocabulary.token_id, any_value(vocabulary.token) AS token, coalesce(sum(token_count), 0)::BIGINT AS token_count
    FROM vocabulary
    LEFT JOIN unigram_counts USING (token_id)
    GROUP BY vocabulary.token_id
),
total AS (
    SELECT sum(token_count)::DOUBLE AS tokens, count(*)::DOUBLE AS vocabulary_size FROM summed
),
likely AS (
    SELECT token_id, token, token_count,
           CASE WHEN $unseen = 'add_one' THEN (token_count + 1) / (tokens + vocabulary_size)
                ELSE token_count / tokens END AS probability
    FROM summed
    CROSS JOIN total
),
ranked AS (
    SELECT token_id, (dense_rank() OVER (ORDER BY token_count) - 1)::INTEGER AS rarity_rank
    FROM summed
    WHERE token_count > 0 OR $unseen = 'add_one'
)
SELECT token_id, token, token_count,
       probability,
       CASE WHEN probability > 0 THEN -log2(probability) END AS surprisal_bits,
       rarity_rank,
       $unseen                                               AS unseen_policy
FROM likely
LEFT JOIN ranked USING (token_id)
ORDER BY token_id
