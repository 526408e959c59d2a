-- Token ids whose counts over the subsets do not sum to the count of the corpus; corpora counted by subset only.
SELECT corpus_id, token_id, unigrams.token_count, by_subset.token_count AS counted
FROM unigrams
JOIN (SELECT DISTINCT corpus_id FROM subset_unigrams) USING (corpus_id)
LEFT JOIN (SELECT corpus_id, token_id, sum(token_count) AS token_count FROM subset_unigrams GROUP BY ALL) AS by_subset
    USING (corpus_id, token_id)
WHERE unigrams.token_count <> coalesce(by_subset.token_count, 0)
