-- Which claims of the papers hold for a checkpoint?
SELECT claim_id, paper, statement, reported, ours, lower, upper, null_value, verdict, reason
FROM claims
WHERE checkpoint_id = $checkpoint_id
ORDER BY paper, claim_id
