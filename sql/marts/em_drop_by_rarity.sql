-- One row per checkpoint, memorized or not, and fifth of rarity within the prefix (4 = rarest): cost of a changed token.
-- placebo_em_drop: the same with rarity dealt at random within each paragraph.
-- position_matched_em_drop: what the positions alone predict for these tokens (mean cost at the same position in
-- the other clusters).
WITH token AS (
    SELECT checkpoint_id, paragraph_id, near_duplicate_cluster, is_memorized, position, em_drop,
           ntile(5) OVER (PARTITION BY checkpoint_id, paragraph_id ORDER BY surprisal_bits, md5(paragraph_id || position)) - 1 AS rarity_fifth,
           ntile(5) OVER (PARTITION BY checkpoint_id, paragraph_id ORDER BY md5('placebo' || paragraph_id || position)) - 1    AS placebo_fifth,
           (sum(em_drop) OVER place - sum(em_drop) OVER own)
               / nullif(count(em_drop) OVER place - count(em_drop) OVER own, 0) AS expected
    FROM triggers
    WHERE em_drop IS NOT NULL
    WINDOW place AS (PARTITION BY checkpoint_id, is_memorized, position),
           own AS (PARTITION BY checkpoint_id, is_memorized, position, near_duplicate_cluster)
),
placebo AS (
    SELECT checkpoint_id, is_memorized, placebo_fifth AS rarity_fifth, avg(em_drop) AS placebo_em_drop
    FROM token
    GROUP BY ALL
),
by_cluster AS (
    SELECT checkpoint_id, is_memorized, rarity_fifth, near_duplicate_cluster, avg(em_drop) AS em_drop, avg(expected) AS expected
    FROM token
    GROUP BY ALL
)
SELECT checkpoint_id, is_memorized, rarity_fifth,
       avg(em_drop)                AS em_drop_mean,
       mean_lower(em_drop)         AS lower,
       mean_upper(em_drop)         AS upper,
       any_value(placebo_em_drop)  AS placebo_em_drop,
       avg(expected)               AS position_matched_em_drop,
       count(*)                    AS cluster_count
FROM by_cluster
JOIN placebo USING (checkpoint_id, is_memorized, rarity_fifth)
GROUP BY ALL
ORDER BY checkpoint_id, is_memorized, rarity_fifth
