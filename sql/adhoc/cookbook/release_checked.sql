-- Does the checkpoint do what a release says of it?
-- Measured beside released, paragraph by paragraph, those that differ most first. Released NLLs are rounded to 0.001 nats.
SELECT left(scores.paragraph_id, 12) AS paragraph, release, source_file, source_row,
       scores.exact_match AS exact_match_measured, released.exact_match AS exact_match_released,
       continuation_nll_nats AS nll_measured_nats, released.nll_nats AS nll_released_nats,
       continuation_nll_nats - released.nll_nats AS nll_difference_nats
FROM scores
JOIN checkpoints USING (checkpoint_id)
JOIN released_paragraphs AS released USING (corpus_id, paragraph_id)
WHERE checkpoint_id = chosen_checkpoint() AND released.exact_match IS NOT NULL
ORDER BY abs(exact_match_measured - exact_match_released) DESC, abs(nll_difference_nats) DESC, source_row
LIMIT 40
