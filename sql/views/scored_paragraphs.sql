-- One row per checkpoint and paragraph: the score beside what is known of the paragraph in the checkpoint's corpus.
SELECT checkpoint_id, corpus_id, paragraph_id, training_step, exact_match, em_bin, is_memorized, continuation_nll_nats,
       prefix_nll_nats, divergence_position, document_id, token_offset, subset, content_kind, unique_token_count, occurrence_count,
       duplication_count, near_duplicate_cluster, prefix_length, continuation_length, preview(text) AS text_preview
FROM scores
JOIN checkpoints USING (checkpoint_id)
JOIN paragraphs USING (corpus_id, paragraph_id)
