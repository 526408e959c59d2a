-- Which paragraphs does a checkpoint recite how far, and were their triggers measured?
SELECT preview(text) AS beginning, exact_match, scored_paragraphs.duplication_count, scored_paragraphs.content_kind,
       round(continuation_nll_nats, 3) AS continuation_nll_nats, is_memorized,
       paragraph_id IN (SELECT paragraph_id FROM perturbations WHERE checkpoint_id = $checkpoint_id) AS is_perturbed, paragraph_id
FROM scored_paragraphs
JOIN paragraphs USING (paragraph_id, corpus_id)
WHERE checkpoint_id = $checkpoint_id
ORDER BY is_perturbed DESC, exact_match DESC, paragraph_id
