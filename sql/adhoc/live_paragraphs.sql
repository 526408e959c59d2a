-- Which paragraphs does a checkpoint recite how far, and were their triggers measured?
SELECT paragraph_id, exact_match, is_memorized, scored_paragraphs.duplication_count, scored_paragraphs.content_kind, continuation_nll_nats,
       paragraph_id IN (SELECT paragraph_id FROM perturbations WHERE checkpoint_id = $checkpoint_id) AS is_perturbed,
       preview(text) AS beginning
FROM scored_paragraphs
JOIN paragraphs USING (paragraph_id, corpus_id)
WHERE checkpoint_id = $checkpoint_id
ORDER BY is_perturbed DESC, exact_match DESC, paragraph_id
