-- One row per saved edited checkpoint and paragraph: its score beside that of the checkpoint it was made from.
SELECT edited.checkpoint_id, edited.parent_checkpoint_id, edited.objective, edited.selection, after.paragraph_id,
       list_contains(edited.target_ids, after.paragraph_id)          AS is_target,
       list_contains(edited.control_ids, after.paragraph_id)         AS is_control,
       before.is_memorized                                           AS is_memorized_before,
       after.is_memorized,
       before.exact_match                                            AS exact_match_before,
       after.exact_match,
       before.continuation_nll_nats                                  AS continuation_nll_before_nats,
       after.continuation_nll_nats
FROM edited_checkpoints AS edited
JOIN scores AS after ON after.checkpoint_id = edited.checkpoint_id
JOIN scores AS before ON before.checkpoint_id = edited.parent_checkpoint_id AND before.paragraph_id = after.paragraph_id
