-- EM drop by prefix position of a checkpoint.
SELECT * FROM em_drop_by_position WHERE checkpoint_id = $checkpoint_id ORDER BY position
