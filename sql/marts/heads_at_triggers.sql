-- One row per checkpoint and head: does the head look at the token whose change costs most?
-- top_hit: share of paragraphs (clusters count once) in which the token it looks at most is a strongest trigger, with
-- 95 % interval. chance: the same for attention blind to tokens. position_matched: for its attention in other paragraphs,
-- so what its taste for positions explains. p and q: re-pairing attention and triggers of different clusters, q over heads.
-- percentile: how high the trigger ranks in the head's attention, 0 to 1; 0.5 is chance.
-- points_at_triggers: more often than position explains, beyond chance after multiplicity control.
SELECT checkpoint_id, layer, head, layer || '.' || head                              AS head_ref,
       max(estimate)         FILTER (statistic = 'top_hit')                          AS top_hit,
       max(lower)            FILTER (statistic = 'top_hit')                          AS top_hit_lower,
       max(upper)            FILTER (statistic = 'top_hit')                          AS top_hit_upper,
       max(chance)           FILTER (statistic = 'top_hit')                          AS top_hit_chance,
       max(position_matched) FILTER (statistic = 'top_hit')                          AS top_hit_position_matched,
       max(p_value)          FILTER (statistic = 'top_hit')                          AS top_hit_p_value,
       max(q_value)          FILTER (statistic = 'top_hit')                          AS top_hit_q_value,
       max(estimate)         FILTER (statistic = 'attention_percentile')             AS percentile,
       max(position_matched) FILTER (statistic = 'attention_percentile')             AS percentile_position_matched,
       max(q_value)          FILTER (statistic = 'attention_percentile')             AS percentile_q_value,
       coalesce(top_hit_q_value < 0.05 AND top_hit > top_hit_position_matched, false) AS points_at_triggers,
       max(cluster_count)                                                            AS cluster_count
FROM head_pointing
GROUP BY checkpoint_id, layer, head
ORDER BY checkpoint_id, top_hit - top_hit_position_matched DESC NULLS LAST, layer, head
