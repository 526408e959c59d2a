-- Which paragraphs are recited to the end?
-- has_triggers: whether its tokens were changed one by one, so that which_tokens_trigger has an answer for it.
SELECT left(paragraph_id, 12) AS paragraph, paragraph_id IN (SELECT paragraph_id FROM perturbations
                                                             WHERE checkpoint_id = chosen_checkpoint()) AS has_triggers,
       scored_paragraphs.duplication_count, continuation_nll_nats, scored_paragraphs.content_kind, preview(text, 60) AS preview
FROM scored_paragraphs
JOIN paragraphs USING (paragraph_id, corpus_id)
WHERE checkpoint_id = chosen_checkpoint() AND is_memorized
ORDER BY has_triggers DESC, scored_paragraphs.duplication_count, paragraph
LIMIT 40
