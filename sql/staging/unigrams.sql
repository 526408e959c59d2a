-- One row per token id of the vocabulary: corpus-level count, probability, surprisal and rarity.
-- Unseen tokens count 0 and have probability 0; surprisal is add-one smoothed over the vocabulary, so it is finite.
WITH summed AS (
    SELECT vocabulary.token_id, any_value(vocabulary.token) AS token, coalesce(sum(token_count), 0)::BIGINT AS token_count
    FROM vocabulary
    LEFT JOIN unigram_counts USING (token_id)
    GROUP BY vocabulary.token_id
),
total AS (
    SELECT sum(token_count)::DOUBLE AS tokens, count(*)::DOUBLE AS vocabulary_size FROM summed
)
SELECT token_id, token, token_count,
       token_count / tokens                                       AS probability,
       -log2((token_count + 1) / (tokens + vocabulary_size))      AS surprisal_bits,
       (dense_rank() OVER (ORDER BY token_count) - 1)::INTEGER    AS rarity_rank
FROM summed, total
ORDER BY token_id
