-- What kind of text is memorized? Share recited by kind of content and checkpoint, clusters as units.
WITH by_cluster AS (
    SELECT checkpoint_id, training_step, content_kind, near_duplicate_cluster, avg(is_memorized::INTEGER) AS memorized_share
    FROM scored_paragraphs
    GROUP BY ALL
)
SELECT checkpoint_id, content_kind, avg(memorized_share) AS memorized_share, count(*) AS cluster_count
FROM by_cluster
GROUP BY checkpoint_id, training_step, content_kind
ORDER BY training_step, checkpoint_id, memorized_share DESC
