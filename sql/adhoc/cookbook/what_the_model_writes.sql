-- What does the model write where it leaves the truth?
SELECT left(paragraph_id, 12) AS paragraph, exact_match, token_accuracy, levenshtein, preview(generated_text, 60) AS generated_preview
FROM generations
JOIN scores USING (checkpoint_id, paragraph_id)
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY exact_match DESC, paragraph
LIMIT 10
