-- One row per paragraph and prefix position: the token, its rarity in the corpus and its rank within the prefix.
-- prefix_rarity_rank: dense rank by corpus count among the distinct counts of the prefix, 0 = rarest.
-- prefix_rarity_percentile: share of prefix tokens that are more common, ties counted half; 1 = rarest, 0.5 = chance.
WITH tokens AS (
    SELECT paragraph_id, corpus_id, duplication_count, near_duplicate_cluster, prefix_length,
           unnest(token_ids[1:prefix_length])                  AS token_id,
           generate_subscripts(token_ids[1:prefix_length], 1) - 1 AS position
    FROM paragraphs
),
ranked AS (
    SELECT tokens.*, unigrams.token, unigrams.surprisal_bits, unigrams.rarity_rank, unigrams.token_count,
           dense_rank() OVER (PARTITION BY paragraph_id ORDER BY unigrams.token_count) - 1 AS prefix_rarity_rank,
           rank() OVER (PARTITION BY paragraph_id ORDER BY unigrams.token_count DESC)      AS from_commonest,
           count(*) OVER (PARTITION BY paragraph_id, unigrams.token_count)                 AS tie_count
    FROM tokens
    JOIN unigrams USING (corpus_id, token_id)
)
SELECT paragraph_id, corpus_id, position::INTEGER AS position, token_id, token, token_count, surprisal_bits, rarity_rank,
       prefix_rarity_rank::INTEGER                                      AS prefix_rarity_rank,
       (from_commonest - 1 + (tie_count - 1) / 2.0) / (prefix_length - 1) AS prefix_rarity_percentile,
       duplication_count, near_duplicate_cluster, prefix_length
FROM ranked
