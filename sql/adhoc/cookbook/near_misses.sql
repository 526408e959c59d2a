-- Which continuations are wrong by the letter but close: high overlap after an early divergence?
SELECT left(paragraph_id, 12) AS paragraph, exact_match, token_accuracy, rouge_l, bleu, levenshtein
FROM generations
JOIN scores USING (checkpoint_id, paragraph_id)
WHERE checkpoint_id = chosen_checkpoint() AND exact_match < 10
ORDER BY rouge_l DESC, paragraph
LIMIT 10
