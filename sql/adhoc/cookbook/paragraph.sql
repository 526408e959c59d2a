-- What is known of this paragraph?
SELECT left(paragraph_id, 12) AS paragraph, exact_match, em_bin, continuation_nll_nats, duplication_count, occurrence_count,
       content_kind, near_duplicate_cluster, text_preview
FROM scored_paragraphs
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_id = chosen_paragraph()
