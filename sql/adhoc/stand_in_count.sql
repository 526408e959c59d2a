-- How many of the furthest recited stand in for the memorized of a checkpoint that recites nothing in full?
SELECT count(DISTINCT paragraph_id) AS stand_in_count
FROM prefix_changes
WHERE checkpoint_id = $checkpoint_id AND is_stand_in
