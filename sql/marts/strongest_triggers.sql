-- One row per checkpoint and memorized or not: is the token whose change costs most rarer than chance?
-- Ties share the title. rarity_percentile: 1 = rarest of its prefix, chance is 0.5.
-- position_matched: rarity percentile of the tokens that the other clusters have at the same positions.
WITH token AS (
    SELECT *, (sum(prefix_rarity_percentile) OVER place - sum(prefix_rarity_percentile) OVER own)
               / nullif(count(prefix_rarity_percentile) OVER place - count(prefix_rarity_percentile) OVER own, 0) AS expected,
           max(em_drop) OVER (PARTITION BY checkpoint_id, paragraph_id) AS strongest
    FROM triggers
    WHERE em_drop IS NOT NULL
    WINDOW place AS (PARTITION BY checkpoint_id, is_memorized, position),
           own AS (PARTITION BY checkpoint_id, is_memorized, position, near_duplicate_cluster)
),
by_cluster AS (
    SELECT checkpoint_id, is_memorized, near_duplicate_cluster,
           avg(prefix_rarity_percentile) AS rarity_percentile, avg(expected) AS position_matched, avg(position) AS position
    FROM token
    WHERE em_drop = strongest AND strongest > 0
    GROUP BY ALL
)
SELECT checkpoint_id, is_memorized,
       avg(rarity_percentile)                            AS rarity_percentile_mean,
       mean_lower(rarity_percentile, 0)                  AS lower,
       mean_upper(rarity_percentile, 1)                  AS upper,
       0.5                                               AS chance,
       avg(position_matched)                             AS position_matched,
       avg(rarity_percentile - position_matched)         AS excess_over_position,
       mean_lower(rarity_percentile - position_matched)  AS excess_lower,
       mean_upper(rarity_percentile - position_matched)  AS excess_upper,
       avg(position)                                     AS position_mean,
       count(*)                                          AS cluster_count
FROM by_cluster
GROUP BY ALL
ORDER BY checkpoint_id, is_memorized
