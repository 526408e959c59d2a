-- How does recital develop over the checkpoints?
SELECT checkpoint_id, training_step, memorized_count, paragraph_count, memorized_share, exact_match_mean,
       continuation_nll_nats, held_out_nll_nats
FROM checkpoint_summary
ORDER BY training_step NULLS FIRST, checkpoint_id
