-- What share of each rung of duplication does a checkpoint recite?
-- Where paragraphs have more than eight counts, as released ones do, rungs are powers of ten. lower, upper: 95 % Wilson
-- interval over near-duplicate clusters. null_share: what every rung would show if copies did not matter.
WITH clusters AS (
    SELECT *, avg(memorized_share) OVER () AS null_share,
           (SELECT count(DISTINCT duplication_count) > 8 FROM cluster_scores WHERE checkpoint_id = $checkpoint_id) AS is_binned
    FROM cluster_scores
    WHERE checkpoint_id = $checkpoint_id AND duplication_count IS NOT NULL
),
placed AS (
    SELECT *, CASE WHEN is_binned AND duplication_count > 0
                   THEN pow(10, floor(log10(duplication_count)))::BIGINT ELSE duplication_count END AS lowest
    FROM clusters
)
SELECT lowest AS duplication_count,
       CASE WHEN any_value(is_binned) AND lowest > 0 THEN lowest || ' to ' || (10 * lowest - 1) ELSE lowest::VARCHAR END AS copies,
       avg(memorized_share)                             AS memorized_share,
       wilson_lower(avg(memorized_share), count(*))     AS lower,
       wilson_upper(avg(memorized_share), count(*))     AS upper,
       any_value(null_share)                            AS null_share,
       sum(paragraph_count)::BIGINT                     AS paragraph_count
FROM placed
GROUP BY lowest
ORDER BY lowest DESC
