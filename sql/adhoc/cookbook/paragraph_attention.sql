-- Which heads look at the strongest trigger of this paragraph?
WITH strongest AS (
    SELECT position, token
    FROM triggers
    WHERE checkpoint_id = chosen_checkpoint() AND paragraph_id = chosen_paragraph() AND em_drop IS NOT NULL
    ORDER BY em_drop DESC, position
    LIMIT 1
)
SELECT layer || '.' || head AS head_ref, strongest.position, token, attention[strongest.position + 1] AS attention,
       1.0 / (len(attention) + 1) AS uniform_null
FROM head_attention, strongest
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_id = chosen_paragraph()
ORDER BY attention DESC
LIMIT 10
