-- What kind of text is recited?
SELECT content_kind, count(DISTINCT near_duplicate_cluster) AS cluster_count, avg(is_memorized::INTEGER) AS memorized_share,
       avg(exact_match) AS exact_match_mean
FROM scored_paragraphs
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY ALL
ORDER BY memorized_share DESC, content_kind
