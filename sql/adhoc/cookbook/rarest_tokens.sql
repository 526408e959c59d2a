-- Which tokens of the sample are rarest, and how rare within their corpus?
SELECT token, token_count, surprisal_bits, rarity_percentile(corpus_id, surprisal_bits) AS rarity_percentile
FROM (SELECT DISTINCT corpus_id, token, token_count, surprisal_bits FROM prefix_tokens ORDER BY surprisal_bits DESC, token LIMIT 10)
ORDER BY surprisal_bits DESC, token
