-- Paragraphs of a corpus that do not lie inside the document they name.
SELECT corpus_id, paragraph_id, document_id, paragraphs.token_offset
FROM paragraphs
JOIN documents USING (corpus_id, document_id)
WHERE straddles_document
   OR paragraphs.token_offset < documents.token_offset
   OR paragraphs.token_offset + len(token_ids) > documents.token_offset + documents.token_count
