-- How are paragraphs spread over the papers' bins of exact match?
SELECT em_bin, count(*) AS paragraph_count, count(DISTINCT near_duplicate_cluster) AS cluster_count,
       avg(continuation_nll_nats) AS continuation_nll_nats
FROM scored_paragraphs
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY ALL
ORDER BY min(exact_match)
