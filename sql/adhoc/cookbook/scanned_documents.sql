-- How much of each scanned document does the model know by heart, and how much of that does the finder find?
SELECT document, method, token_count, recited_token_count, recited_token_count / token_count AS recited_share,
       longest_passage_count, passage_count, recall, recall_lower, recall_upper
FROM scans
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY recited_token_count DESC, document, scan_id
