-- Token NLL of every paragraph of a checkpoint, from position 1.
SELECT paragraph_id, list(nll_nats ORDER BY position) AS nll_nats
FROM token_scores
WHERE checkpoint_id = $checkpoint_id
GROUP BY ALL
