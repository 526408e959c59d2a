-- Which near-duplicate clusters hold more than one paragraph?
SELECT corpus_id, near_duplicate_cluster, count(*) AS paragraph_count, min(preview(text, 60)) AS preview
FROM paragraphs
GROUP BY ALL
HAVING count(*) > 1
ORDER BY paragraph_count DESC, near_duplicate_cluster
LIMIT 10
