-- Gradient, patching and short-circuits of the same memorized paragraphs, by layer.
SELECT * FROM localization_axis WHERE checkpoint_id = $checkpoint_id ORDER BY measure, layer
