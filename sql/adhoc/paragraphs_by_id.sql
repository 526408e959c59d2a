-- Which paragraphs have ids that begin so?
SELECT DISTINCT paragraph_id
FROM paragraphs
WHERE starts_with(paragraph_id, $beginning)
ORDER BY paragraph_id
