-- How many tokens of the continuation does one changed prefix token cost, early and late in the prefix?
SELECT is_memorized, avg(em_drop_mean) AS em_drop_mean,
       avg(em_drop_mean) FILTER (position < (SELECT max(prefix_length) FROM paragraphs) / 2)  AS early,
       avg(em_drop_mean) FILTER (position >= (SELECT max(prefix_length) FROM paragraphs) / 2) AS late,
       max(cluster_count) AS cluster_count
FROM em_drop_by_position
WHERE checkpoint_id = $checkpoint_id
GROUP BY ALL
