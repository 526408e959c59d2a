-- How far is each paragraph still recited after unlearning one memorized paragraph, by selection of weights?
SELECT selection, target, evaluation_set, paragraph_id, exact_match_before, exact_match
FROM edit_scores
WHERE checkpoint_id = $checkpoint_id AND protocol = 'single' AND objective = 'unlearn'
ORDER BY selection, evaluation_set, target, paragraph_id
