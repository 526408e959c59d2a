-- How well do membership scores tell trained paragraphs from others?
-- auc: chance that a trained paragraph scores higher than one never trained on; 0.5 is guessing.
WITH scored AS (
    SELECT duplication_count > 0 AS is_trained, unnest([
        {'score': 'min-k 20 %', 'value': min_k20_nats}, {'score': 'min-k++', 'value': min_k_plus_plus},
        {'score': 'zlib ratio', 'value': -zlib_ratio}, {'score': 'NLL', 'value': -scores.continuation_nll_nats}
    ], recursive := true)
    FROM scores
    JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
    WHERE checkpoint_id = chosen_checkpoint()
),
ranked AS (
    SELECT *, rank() OVER (PARTITION BY score ORDER BY value) + (count(*) OVER (PARTITION BY score, value) - 1) / 2.0 AS place
    FROM scored
)
SELECT score, (sum(place) FILTER (is_trained) - count(*) FILTER (is_trained) * (count(*) FILTER (is_trained) + 1) / 2.0)
       / nullif(count(*) FILTER (is_trained) * count(*) FILTER (NOT is_trained), 0) AS auc,
       count(*) FILTER (is_trained) AS trained_count, count(*) FILTER (NOT is_trained) AS untrained_count
FROM ranked
GROUP BY score
ORDER BY auc DESC NULLS LAST, score
