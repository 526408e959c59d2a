-- The vocabulary of a checkpoint's corpus: what each token is and how rare.
SELECT token_id, token, surprisal_bits
FROM unigrams
WHERE corpus_id = (SELECT corpus_id FROM checkpoints WHERE checkpoint_id = $checkpoint_id)
