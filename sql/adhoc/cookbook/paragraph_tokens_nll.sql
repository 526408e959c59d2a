-- Which tokens of this paragraph surprise the model most?
SELECT position, token, nll_nats, entropy_nats, surprisal_bits
FROM token_scores
JOIN checkpoints USING (checkpoint_id)
JOIN unigrams USING (corpus_id, token_id)
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_id = chosen_paragraph()
ORDER BY nll_nats DESC, position
LIMIT 10
