-- How far is the text recited? Near-duplicate clusters per exact match, and those never trained on.
SELECT exact_match, count(DISTINCT near_duplicate_cluster) AS cluster_count,
       count(DISTINCT near_duplicate_cluster) FILTER (duplication_count = 0) AS untrained_cluster_count
FROM scored_paragraphs
WHERE checkpoint_id = $checkpoint_id
GROUP BY ALL
ORDER BY exact_match
