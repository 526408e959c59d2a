-- What the report is about: the checkpoint, its corpus and the sample.
SELECT checkpoints.checkpoint_id, checkpoints.architecture, layer_count, head_count, parameter_count, training_step,
       weights_sha256, corpora.corpus_id, corpora.source AS corpus_source, document_count, token_count, fingerprint,
       (SELECT count(*) FROM paragraphs WHERE paragraphs.corpus_id = corpora.corpus_id) AS paragraph_count
FROM checkpoints
JOIN corpora USING (corpus_id)
WHERE checkpoint_id = $checkpoint_id
