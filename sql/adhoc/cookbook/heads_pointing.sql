-- Which heads point at the strongest trigger more often than position says?
SELECT head_ref, top_hit, top_hit_lower, top_hit_upper, top_hit_chance, top_hit_position_matched, top_hit_q_value,
       points_at_triggers
FROM heads_at_triggers
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY top_hit - top_hit_position_matched DESC NULLS LAST, head_ref
LIMIT 10
