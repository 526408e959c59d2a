-- Paragraphs that stand in one corpus twice.
SELECT corpus_id, paragraph_id, count(*) AS row_count
FROM paragraphs
GROUP BY ALL
HAVING count(*) > 1
