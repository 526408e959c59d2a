-- Which block, and which single head, does recital need most, and does other text need it as much?
-- excess: what the loss of recital over that of other text exceeds its null by; is_selective: beyond the null after
-- correction.
SELECT layer, head, recital_loss_share, utility_drop_share, excess, excess_lower, excess_upper, is_selective
FROM interventions
WHERE checkpoint_id = $checkpoint_id AND kind = 'identity' AND part = 'attention' AND paragraph_group = 'MP'
  AND layer = last_layer AND recital_loss_share IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY head IS NULL ORDER BY recital_loss_share DESC, layer, head) = 1
ORDER BY head NULLS FIRST
