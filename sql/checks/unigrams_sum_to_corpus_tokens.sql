-- Corpora whose unigram counts do not sum to their tokens.
SELECT corpora.corpus_id, token_count, counted
FROM corpora
JOIN (SELECT corpus_id, sum(token_count) AS counted FROM unigrams GROUP BY ALL) USING (corpus_id)
WHERE counted <> token_count
