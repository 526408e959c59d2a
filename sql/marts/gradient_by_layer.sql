-- One row per checkpoint, MP or NMP, layer and component: where the gradient of the continuation loss is.
-- max_abs_mean: largest entry, mean over paragraphs. share: of the paragraph's sum over layers and components.
-- even_share: share if layers were alike. placebo_share: the same mean with MP and NMP labels dealt at random.
WITH by_component AS (
    SELECT checkpoint_id, paragraph_id, paragraph_group, layer, component, sum(max_abs) AS max_abs
    FROM parameter_gradients
    WHERE paragraph_id IS NOT NULL
    GROUP BY ALL
),
shared AS (
    SELECT *, max_abs / nullif(sum(max_abs) OVER (PARTITION BY checkpoint_id, paragraph_id), 0) AS share
    FROM by_component
),
paragraph AS (
    SELECT DISTINCT checkpoint_id, paragraph_id, paragraph_group FROM shared
),
dealt AS (
    SELECT checkpoint_id, paragraph_id, paragraph_group,
           row_number() OVER (PARTITION BY checkpoint_id ORDER BY paragraph_group, paragraph_id)      AS seat,
           row_number() OVER (PARTITION BY checkpoint_id ORDER BY md5('placebo' || paragraph_id))     AS card
    FROM paragraph
),
placebo AS (
    SELECT owner.checkpoint_id, owner.paragraph_group, layer, component, avg(share) AS placebo_share
    FROM dealt AS owner
    JOIN dealt AS other ON other.checkpoint_id = owner.checkpoint_id AND other.card = owner.seat
    JOIN shared ON shared.checkpoint_id = other.checkpoint_id AND shared.paragraph_id = other.paragraph_id
    GROUP BY ALL
),
group_gradient AS (
    SELECT checkpoint_id, paragraph_group, layer, component, sum(max_abs) AS mean_gradient_max_abs
    FROM parameter_gradients
    WHERE paragraph_id IS NULL
    GROUP BY ALL
),
summary AS (
    SELECT checkpoint_id, paragraph_group, layer, component,
           avg(max_abs) AS max_abs_mean, avg(share) AS share_mean,
           mean_lower(share, 0) AS lower, mean_upper(share, 1) AS upper, count(*) AS paragraph_count
    FROM shared
    GROUP BY ALL
)
SELECT checkpoint_id, paragraph_group, layer, component, max_abs_mean, share_mean, lower, upper,
       avg(share_mean) OVER (PARTITION BY checkpoint_id, paragraph_group, component) AS even_share,
       placebo_share, mean_gradient_max_abs, paragraph_count
FROM summary
JOIN placebo USING (checkpoint_id, paragraph_group, layer, component)
LEFT JOIN group_gradient USING (checkpoint_id, paragraph_group, layer, component)
ORDER BY checkpoint_id, paragraph_group, layer, component
