-- One row per checkpoint and memorized or not: is the token whose change costs most rarer than chance?
-- Ties share the title; a token type counts once per prefix. rarity_percentile: 1 = rarest of its prefix, chance is 0.5.
-- position_matched: rarity percentile of the tokens that the other clusters have at the same positions.
-- token_p_value: the same question with token types as random effects; rarity must pass both tests.
WITH placed AS (
    SELECT checkpoint_id, is_memorized, avg(position) AS position_mean
    FROM (
        SELECT *, max(em_drop) OVER (PARTITION BY checkpoint_id, paragraph_id) AS strongest
        FROM triggers
        WHERE em_drop IS NOT NULL
    )
    WHERE em_drop = strongest AND strongest > 0
    GROUP BY ALL
),
tested AS (
    SELECT checkpoint_id, paragraph_group = 'MP' AS is_memorized,
           max(estimate)      FILTER (statistic = 'rarity_percentile')    AS rarity_percentile_mean,
           max(lower)         FILTER (statistic = 'rarity_percentile')    AS lower,
           max(upper)         FILTER (statistic = 'rarity_percentile')    AS upper,
           0.5                                                            AS chance,
           max(null_value)    FILTER (statistic = 'rarity_percentile')    AS position_matched,
           max(estimate)      FILTER (statistic = 'excess_over_position') AS excess_over_position,
           max(lower)         FILTER (statistic = 'excess_over_position') AS excess_lower,
           max(upper)         FILTER (statistic = 'excess_over_position') AS excess_upper,
           max(token_p_value) FILTER (statistic = 'excess_over_position') AS token_p_value,
           max(cluster_count) FILTER (statistic = 'excess_over_position') AS cluster_count
    FROM trigger_summaries
    WHERE paragraph_group <> 'all'
    GROUP BY ALL
    HAVING rarity_percentile_mean IS NOT NULL
)
SELECT checkpoint_id, is_memorized, * EXCLUDE (checkpoint_id, is_memorized, cluster_count, token_p_value, position_mean),
       position_mean, cluster_count, token_p_value
FROM tested
LEFT JOIN placed USING (checkpoint_id, is_memorized)
ORDER BY checkpoint_id, is_memorized
