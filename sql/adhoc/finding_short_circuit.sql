-- Which block's attention does recital need most, beyond what everything needs?
SELECT layer, memorization_drop_share, recital_loss_share, utility_drop_share, excess, family_lower, family_upper,
       count(*) FILTER (is_selective) OVER () AS selective_count, count(*) OVER () AS block_count
FROM interventions
WHERE checkpoint_id = $checkpoint_id AND kind = 'identity' AND head IS NULL AND paragraph_group = 'MP'
  AND layer = last_layer AND part = 'attention' AND excess IS NOT NULL
ORDER BY excess DESC, layer
LIMIT 1
