-- How does recital develop over the checkpoints?
SELECT checkpoint_id, training_step, memorized_count, paragraph_count, memorized_share, exact_match_mean,
       continuation_nll_nats, held_out_nll_nats
FROM checkpoint_summary
WHERE corpus_id = (SELECT corpus_id FROM checkpoints WHERE checkpoint_id = $checkpoint_id)
ORDER BY training_step NULLS FIRST, checkpoint_id
