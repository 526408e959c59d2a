-- Which paragraphs with few copies are recited furthest?
SELECT left(paragraph_id, 12) AS paragraph, duplication_count, exact_match, continuation_nll_nats, text_preview
FROM scored_paragraphs
WHERE checkpoint_id = chosen_checkpoint() AND duplication_count BETWEEN 1 AND 4
ORDER BY exact_match DESC, paragraph
LIMIT 10
