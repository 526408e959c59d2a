-- Which paragraphs resist although the model saw them most often?
SELECT left(paragraph_id, 12) AS paragraph, duplication_count, exact_match, continuation_nll_nats, text_preview
FROM scored_paragraphs
WHERE checkpoint_id = chosen_checkpoint() AND NOT is_memorized
ORDER BY duplication_count DESC, exact_match, paragraph
LIMIT 10
