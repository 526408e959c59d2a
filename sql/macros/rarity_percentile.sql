-- rarity_percentile(corpus, bits): share of the corpus's tokens that are more common than this surprisal; 1 = rarest.
-- The columns are renamed inside, because a macro's arguments are put in as text and must not meet columns of their name.
SELECT (
    SELECT coalesce(sum(own_count) FILTER (own_bits < bits), 0) / sum(own_count)
    FROM (SELECT corpus_id AS own_corpus, surprisal_bits AS own_bits, token_count AS own_count FROM unigrams)
    WHERE own_corpus = corpus
)
