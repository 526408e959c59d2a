-- How did this paragraph come to be recited?
SELECT checkpoint_id, training_step, exact_match, continuation_nll_nats
FROM scored_paragraphs
WHERE paragraph_id = chosen_paragraph()
ORDER BY training_step, checkpoint_id
