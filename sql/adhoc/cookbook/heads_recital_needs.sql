-- Which single head does recital need most?
SELECT kind, layer || '.' || head AS head_ref, recital_loss_share, utility_drop_share, selectivity, excess, excess_lower, excess_upper
FROM interventions
WHERE checkpoint_id = chosen_checkpoint() AND head IS NOT NULL AND paragraph_group = 'MP'
ORDER BY selectivity DESC NULLS LAST, kind, head_ref
LIMIT 10
