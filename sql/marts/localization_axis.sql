-- One row per checkpoint, layer and measure: every localization of the same memorized paragraphs on one axis.
-- measure: gradient_share (of the paragraph's sum of largest entries), patching_effect (NLL of the impact token, nats,
-- mean over the layer's heads of q, k and v patched one by one), recall_drop, utility_drop (relative losses of token
-- accuracy with the block's attention replaced: kind identity, mean, zero, uniform) and selectivity, their difference, whose
-- null is what as many random heads or noise of the same cost reach. null_value: what a layer would show that is like all others
-- (shares), or that does nothing (effects). Intervals: 95 %, near-duplicate clusters as units.
WITH memorized AS (
    SELECT checkpoint_id, paragraph_id, layer, sum(max_abs) AS size
    FROM parameter_gradients
    WHERE paragraph_id IS NOT NULL AND paragraph_group = 'MP'
      AND (checkpoint_id, paragraph_id) IN (SELECT checkpoint_id, paragraph_id FROM patching)
    GROUP BY ALL
),
by_paragraph AS (
    SELECT checkpoint_id, paragraph_id, layer, 'gradient_share' AS measure,
           size / nullif(sum(size) OVER (PARTITION BY checkpoint_id, paragraph_id), 0)        AS amount,
           1.0 / count(*) OVER (PARTITION BY checkpoint_id, paragraph_id)                     AS null_value,
           0.0::DOUBLE AS least_possible, 1.0::DOUBLE AS most_possible
    FROM memorized
    UNION ALL
    SELECT checkpoint_id, paragraph_id, layer, 'patching_effect', avg(delta_nll_nats), 0, '-infinity'::DOUBLE, 'infinity'::DOUBLE
    FROM patching
    WHERE receiver = 'MP' AND component IN ('q', 'k', 'v')
    GROUP BY ALL
),
summary AS (
    SELECT checkpoint_id, layer, measure, avg(amount) AS estimate,
           mean_lower(amount, any_value(least_possible)) AS lower, mean_upper(amount, any_value(most_possible)) AS upper,
           any_value(null_value) AS null_value, count(*) AS cluster_count
    FROM by_paragraph
    GROUP BY ALL
),
short_circuit AS (
    SELECT *
    FROM interventions
    WHERE kind <> 'none' AND part = 'attention' AND head IS NULL AND layer = last_layer AND paragraph_group = 'MP'
)
SELECT checkpoint_id, layer, measure, NULL::VARCHAR AS kind, estimate, lower, upper, null_value, cluster_count,
       NULL::BOOLEAN AS is_collapsed
FROM summary
UNION ALL
SELECT checkpoint_id, layer, 'recall_drop', kind, recital_loss_share, recital_loss_lower, recital_loss_upper, 0,
       cluster_count, is_collapsed
FROM short_circuit
UNION ALL
SELECT checkpoint_id, layer, 'utility_drop', kind, utility_drop_share, utility_drop_lower, utility_drop_upper, 0,
       cluster_count, is_collapsed
FROM short_circuit
UNION ALL
SELECT checkpoint_id, layer, 'selectivity', kind, selectivity, lower, upper, null_value, cluster_count, is_collapsed
FROM short_circuit
ORDER BY checkpoint_id, measure, kind, layer
