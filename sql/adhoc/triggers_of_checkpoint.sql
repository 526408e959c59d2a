-- Every prefix token of the perturbed paragraphs of a checkpoint, with all that was measured at it.
SELECT *
FROM triggers
WHERE checkpoint_id = $checkpoint_id
ORDER BY paragraph_id, position
