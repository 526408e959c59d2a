-- Which claims of the papers hold here?
SELECT claim_id, reported, ours, lower, upper, null_value, verdict, preview(reason, 60) AS reason
FROM claims
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY claim_id
