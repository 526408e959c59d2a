-- What is recited although it was never trained on?
SELECT left(paragraph_id, 12) AS paragraph, exact_match, content_kind, text_preview
FROM scored_paragraphs
WHERE checkpoint_id = chosen_checkpoint() AND duplication_count = 0
ORDER BY exact_match DESC, paragraph
LIMIT 10
