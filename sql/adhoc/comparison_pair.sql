-- Which checkpoint stands before a checkpoint: the one it was edited from, else the one before it in its series?
-- Only one that was scored on some of the same paragraphs: another one cannot be compared.
SELECT before_id
FROM (
    SELECT parent_checkpoint_id AS before_id, 0 AS place FROM edited_checkpoints WHERE checkpoint_id = $checkpoint_id
    UNION ALL
    SELECT earlier.checkpoint_id, 1
    FROM checkpoint_series AS later
    JOIN checkpoint_series AS earlier USING (corpus_id, series_id)
    WHERE later.checkpoint_id = $checkpoint_id AND earlier.series_index = later.series_index - 1
)
JOIN checkpoints ON checkpoints.checkpoint_id = before_id
WHERE EXISTS (
    SELECT 1
    FROM scores AS before
    JOIN scores AS after USING (paragraph_id)
    WHERE before.checkpoint_id = before_id AND after.checkpoint_id = $checkpoint_id
)
ORDER BY place
LIMIT 1
