-- The prefix of one paragraph, token by token: rarity, EM drop, strongest attention of any head. It is the memorized
-- paragraph (any, where none is) in which one token stands out most: largest EM drop minus the paragraph's median.
WITH chosen AS (
    SELECT paragraph_id
    FROM triggers
    WHERE checkpoint_id = $checkpoint_id
    GROUP BY paragraph_id, is_memorized
    ORDER BY is_memorized DESC, max(em_drop) - median(em_drop) DESC, paragraph_id
    LIMIT 1
)
SELECT paragraph_id, is_memorized, position, token, surprisal_bits, em_drop,
       list_max(map_values(attention)) AS strongest_attention
FROM triggers
JOIN chosen USING (paragraph_id)
WHERE checkpoint_id = $checkpoint_id
ORDER BY position
