-- In which layers is the gradient of memorized paragraphs?
SELECT layer, sum(share_mean) FILTER (paragraph_group = 'MP') AS memorized_share,
       sum(share_mean) FILTER (paragraph_group = 'NMP') AS other_share,
       sum(placebo_share) FILTER (paragraph_group = 'MP') AS placebo_share
FROM gradient_by_layer
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY ALL
ORDER BY layer
