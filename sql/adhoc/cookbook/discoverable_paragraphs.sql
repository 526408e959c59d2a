-- Which paragraphs would 100 samples at temperature 1 give away with probability 0.9?
-- (n, p)-discoverable extraction, Hayes et al. 2025: greedy decoding may miss what sampling finds.
SELECT left(paragraph_id, 12) AS paragraph, exact_match, continuation_logprob_nats,
       extraction_probability(continuation_logprob_nats, 100) AS extraction_probability
FROM scored_paragraphs
JOIN scores USING (checkpoint_id, paragraph_id, exact_match)
WHERE checkpoint_id = chosen_checkpoint() AND discoverable(continuation_logprob_nats, 100, 0.9)
ORDER BY exact_match, extraction_probability DESC, paragraph
LIMIT 10
