-- Which component has the largest gradient entries in memorized paragraphs?
SELECT layer, component, max_abs_mean, share_mean, lower, upper, placebo_share
FROM gradient_by_layer
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_group = 'MP'
ORDER BY share_mean DESC, layer, component
LIMIT 10
