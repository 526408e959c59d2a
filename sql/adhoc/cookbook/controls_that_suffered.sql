-- Which controls suffered most from unlearning with few weights?
-- lost: tokens of the model's own continuation no longer written, mean over runs; random_lost: with as many random weights.
WITH lost AS (
    SELECT paragraph_id, split_part(selection, ':', 1) AS rule, split_part(selection, ':', 2) AS share,
           avg(exact_match_before - exact_match) AS lost, avg(nll_nats - nll_before_nats) AS nll_rise_nats, count(*) AS runs
    FROM edit_scores
    WHERE checkpoint_id = chosen_checkpoint() AND objective = 'unlearn' AND evaluation_set = 'controls'
    GROUP BY ALL
)
SELECT left(paragraph_id, 12) AS paragraph, ours.rule || ':' || share AS selection, ours.runs AS run_count, ours.lost,
       random.lost AS random_lost, ours.nll_rise_nats, random.nll_rise_nats AS random_nll_rise_nats,
       preview(text, width := 48) AS text_preview
FROM lost AS ours
LEFT JOIN (SELECT * FROM lost WHERE rule = 'random') AS random USING (paragraph_id, share)
JOIN paragraphs USING (paragraph_id)
WHERE ours.rule LIKE 'top%'
ORDER BY ours.lost DESC, ours.nll_rise_nats DESC, paragraph
LIMIT 10
