-- chosen_paragraph(): the paragraph questions are about: the one whose id begins with the variable `paragraph`, else the
-- perturbed one that the chosen checkpoint recites furthest. Set it with SET VARIABLE paragraph = '…'.
SELECT CASE
    WHEN getvariable('paragraph') IS NULL THEN (
        SELECT paragraph_id
        FROM scores
        SEMI JOIN (SELECT paragraph_id FROM perturbations WHERE checkpoint_id = chosen_checkpoint()) AS perturbed USING (paragraph_id)
        WHERE checkpoint_id = chosen_checkpoint()
        ORDER BY exact_match DESC, continuation_nll_nats, paragraph_id
        LIMIT 1
    )
    ELSE (SELECT min(paragraph_id) FROM paragraphs WHERE starts_with(paragraph_id, getvariable('paragraph')::VARCHAR))
END
