-- Gradient by layer and component of a checkpoint.
SELECT * FROM gradient_by_layer WHERE checkpoint_id = $checkpoint_id ORDER BY layer, component
