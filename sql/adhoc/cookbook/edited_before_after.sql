-- What did saving an edited checkpoint change, before and after?
-- Checkpoints that `rarecall edit --save` made from the chosen one, or the chosen one itself; role other is the null.
SELECT checkpoint_id,
       CASE WHEN is_target THEN 'target' WHEN is_control THEN 'control' WHEN is_memorized_before THEN 'other memorized'
            ELSE 'other' END AS role,
       count(*) AS paragraph_count, count(*) FILTER (is_memorized_before) AS recited_before_count,
       count(*) FILTER (is_memorized) AS recited_count, avg(exact_match_before) AS exact_match_before,
       avg(exact_match) AS exact_match, avg(continuation_nll_nats - continuation_nll_before_nats) AS nll_rise_nats
FROM edited_checkpoint_before_after
WHERE chosen_checkpoint() IN (checkpoint_id, parent_checkpoint_id)
GROUP BY checkpoint_id, role
ORDER BY checkpoint_id, role = 'other', role <> 'target', role
