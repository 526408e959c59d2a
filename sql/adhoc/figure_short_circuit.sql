-- What does short-circuiting the attention of a block or a head cost recital and held-out text?
SELECT *
FROM interventions
WHERE checkpoint_id = $checkpoint_id
ORDER BY kind, layer, head, paragraph_group
