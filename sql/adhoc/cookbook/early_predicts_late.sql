-- Does an early checkpoint tell what a late one will recite?
SELECT training_step, precision_share, precision_lower, precision_upper, precision_null, recall_share, recall_lower,
       recall_upper, recall_null
FROM early_predicts_late
ORDER BY series_id, training_step
