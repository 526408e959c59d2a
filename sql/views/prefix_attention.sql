-- One row per checkpoint, paragraph and prefix position: attention from the first continuation position, by head.
-- attention: map from 'layer.head' to the weight on this token; attention['1.2'] is layer 1, head 2.
WITH long AS (
    SELECT checkpoint_id, paragraph_id, layer || '.' || head AS head_ref,
           unnest(attention) AS weight, generate_subscripts(attention, 1) - 1 AS position
    FROM head_attention
)
SELECT checkpoint_id, paragraph_id, position::INTEGER AS position,
       map_from_entries(list((head_ref, weight) ORDER BY head_ref)) AS attention
FROM long
GROUP BY checkpoint_id, paragraph_id, position
