-- Which block's attention does recital need most, beyond what everything needs?
SELECT layer, memorization_drop_share, utility_drop_share, selectivity, lower, upper, is_collapsed, is_selective,
       count(*) FILTER (is_selective) OVER () AS selective_count, count(*) OVER () AS block_count
FROM interventions
WHERE checkpoint_id = $checkpoint_id AND kind = 'identity' AND head IS NULL AND paragraph_group = 'MP'
  AND selectivity IS NOT NULL
ORDER BY is_collapsed, selectivity DESC
LIMIT 1
