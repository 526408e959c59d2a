-- Where the model leaves the truth, what does it write that stands elsewhere in the corpus, and in which document?
SELECT left(paragraph_id, 12) AS paragraph, exact_match, traces.token_count, divergent_count, traces.occurrence_count,
       documents.name AS document, preview(generated_text, 50) AS generated_preview
FROM traces
JOIN generations USING (checkpoint_id, paragraph_id)
JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
LEFT JOIN documents ON documents.corpus_id = scored_paragraphs.corpus_id AND documents.document_id = traces.document_id
WHERE checkpoint_id = chosen_checkpoint() AND traced_text = 'written' AND divergent_count > 0
ORDER BY divergent_count DESC, traces.token_count DESC, paragraph
LIMIT 10
