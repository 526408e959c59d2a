-- What has been read?
SELECT corpora.corpus_id, document_count, token_count, vocabulary_count, count(paragraph_id) AS paragraph_count,
       count(DISTINCT near_duplicate_cluster) AS cluster_count
FROM corpora
LEFT JOIN paragraphs USING (corpus_id)
GROUP BY ALL
ORDER BY corpora.corpus_id
