-- Attention of every head of a checkpoint on the prefix, from the first continuation position.
SELECT paragraph_id, layer, head, attention
FROM head_attention
WHERE checkpoint_id = $checkpoint_id
