-- Which passages of scanned documents does the model know by heart, and are they more than good guesses?
SELECT document, first_line, token_count, longest_match, free_run_count, samples_needed, surprise_bits, guessable,
       null_share, left(passage_text, 60) AS begins
FROM scan_passages
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY guessable IS NOT NULL, token_count DESC, surprise_bits DESC, scan_id, document, passage
LIMIT 20
