-- Which paragraphs are almost recited, and where does the model leave them?
SELECT left(paragraph_id, 12) AS paragraph, exact_match, duplication_count, unigrams.token AS true_token, nll_nats
FROM scored_paragraphs
JOIN token_scores USING (checkpoint_id, paragraph_id)
JOIN unigrams USING (corpus_id, token_id)
WHERE checkpoint_id = chosen_checkpoint() AND exact_match BETWEEN 30 AND 49 AND position = divergence_position
ORDER BY exact_match DESC, paragraph
LIMIT 20
