-- What does each step of unlearning or editing cost the targets, and what the controls?
SELECT *
FROM forgetting_front
WHERE checkpoint_id = $checkpoint_id AND protocol = 'single'
ORDER BY objective, selection, step
