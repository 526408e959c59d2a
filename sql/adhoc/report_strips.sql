-- Prefix tokens of a few memorized paragraphs with rarity, EM drop and strongest attention, for the heat strips.
WITH chosen AS (
    SELECT DISTINCT paragraph_id, duplication_count
    FROM triggers
    WHERE checkpoint_id = $checkpoint_id AND is_memorized
    ORDER BY duplication_count, paragraph_id
    LIMIT 3
)
SELECT triggers.paragraph_id, triggers.duplication_count, position, token, surprisal_bits, em_drop,
       list_max(map_values(attention)) AS strongest_attention
FROM triggers
JOIN chosen USING (paragraph_id)
WHERE checkpoint_id = $checkpoint_id
ORDER BY triggers.duplication_count, triggers.paragraph_id, position
