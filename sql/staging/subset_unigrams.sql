-- One row per subset and token id that occurs in it: count, probability, surprisal and rarity within the subset.
-- $vocabulary_size and $unseen as in unigrams: 'add_one' smooths over the whole vocabulary, 'null' does not smooth.
WITH total AS (
    SELECT *, sum(token_count) OVER (PARTITION BY subset)::DOUBLE AS tokens FROM subset_counts
),
likely AS (
    SELECT *, CASE WHEN $unseen = 'add_one' THEN (token_count + 1) / (tokens + $vocabulary_size)
                   ELSE token_count / tokens END AS probability
    FROM total
)
SELECT coalesce(subset, '(between documents)')                        AS subset,
       token_id, token_count,
       probability,
       -log2(probability)                                             AS surprisal_bits,
       (dense_rank() OVER (PARTITION BY subset ORDER BY token_count) - 1)::INTEGER AS rarity_rank
FROM likely
ORDER BY subset, token_id
