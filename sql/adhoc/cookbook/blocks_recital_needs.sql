-- Which block's attention does recital need, beyond what everything needs?
SELECT layer, recital_loss_share, utility_drop_share, selectivity, random_mean, noise_mean, excess, excess_lower, excess_upper,
       is_selective
FROM interventions
WHERE checkpoint_id = chosen_checkpoint() AND kind = 'identity' AND part = 'attention' AND head IS NULL
  AND layer = last_layer AND paragraph_group = 'MP'
ORDER BY layer
