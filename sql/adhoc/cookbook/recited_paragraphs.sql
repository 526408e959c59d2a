-- Which paragraphs are recited to the end?
SELECT left(paragraph_id, 12) AS paragraph, duplication_count, continuation_nll_nats, content_kind, preview(text, 60) AS preview
FROM scored_paragraphs
JOIN paragraphs USING (paragraph_id, corpus_id, duplication_count, content_kind)
WHERE checkpoint_id = chosen_checkpoint() AND is_memorized
ORDER BY duplication_count, paragraph
LIMIT 20
