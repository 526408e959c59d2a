-- How well does the checkpoint agree with the releases as a whole?
-- same_em_share: rows with the released exact match. nll_within_share: rows whose NLL is the released one to 0.001 nats.
-- Rows of released files without exact match hold what another run's model wrote: there agreed_tokens_mean of the
-- continuation's tokens, and same_text_share of the rows, are written alike.
SELECT release, source_file, count(*) AS row_count, count(DISTINCT released.paragraph_id) AS paragraph_count,
       avg((scores.exact_match = released.exact_match)::INTEGER) AS same_em_share,
       max(abs(scores.exact_match - released.exact_match)) AS em_difference_max,
       avg((abs(continuation_nll_nats - released.nll_nats) <= 0.0011)::INTEGER) AS nll_within_share,
       max(abs(continuation_nll_nats - released.nll_nats)) AS nll_difference_max_nats,
       avg(agreement.agreed_count) AS agreed_tokens_mean, avg(agreement.is_same::INTEGER) AS same_text_share
FROM released_paragraphs AS released
JOIN checkpoints USING (corpus_id)
LEFT JOIN scores USING (checkpoint_id, paragraph_id)
LEFT JOIN released_agreement AS agreement USING (checkpoint_id, paragraph_id)
WHERE checkpoint_id = chosen_checkpoint() AND (scores.paragraph_id IS NOT NULL OR agreement.paragraph_id IS NOT NULL)
GROUP BY ALL
ORDER BY release, source_file
