-- One row per token id of the vocabulary: corpus-level count, probability, surprisal and rarity.
-- Unseen tokens count 0 and have probability 0. $unseen says the rest: 'add_one' smooths over the vocabulary, so that
-- every surprisal is finite and unseen tokens share rank 0; 'null' leaves their surprisal and rank empty.
WITH summed AS (
    SELECT vocabulary.token_id, any_value(vocabulary.token) AS token, coalesce(sum(token_count), 0)::BIGINT AS token_count
    FROM vocabulary
    LEFT JOIN unigram_counts USING (token_id)
    GROUP BY vocabulary.token_id
),
total AS (
    SELECT sum(token_count)::DOUBLE AS tokens, count(*)::DOUBLE AS vocabulary_size FROM summed
),
ranked AS (
    SELECT token_id, (dense_rank() OVER (ORDER BY token_count) - 1)::INTEGER AS rarity_rank
    FROM summed
    WHERE token_count > 0 OR $unseen = 'add_one'
)
SELECT token_id, token, token_count,
       token_count / tokens                                                  AS probability,
       CASE WHEN $unseen = 'add_one' THEN -log2((token_count + 1) / (tokens + vocabulary_size))
            WHEN token_count > 0     THEN -log2(token_count / tokens) END    AS surprisal_bits,
       rarity_rank,
       $unseen                                                               AS unseen_policy
FROM summed
CROSS JOIN total
LEFT JOIN ranked USING (token_id)
ORDER BY token_id
