-- Are prefixes of recited paragraphs made of rarer tokens than those of the others?
WITH by_cluster AS (
    SELECT near_duplicate_cluster, bool_or(is_memorized) AS is_memorized, avg(surprisal_bits) AS bits
    FROM prefix_tokens
    JOIN scored_paragraphs USING (corpus_id, paragraph_id, near_duplicate_cluster)
    WHERE checkpoint_id = $checkpoint_id
    GROUP BY ALL
),
dealt AS (
    SELECT *, row_number() OVER (ORDER BY is_memorized, near_duplicate_cluster) AS seat,
           row_number() OVER (ORDER BY md5('placebo' || near_duplicate_cluster)) AS card
    FROM by_cluster
),
summary AS (
    SELECT avg(bits) FILTER (is_memorized) - avg(bits) FILTER (NOT is_memorized) AS difference,
           difference_margin(
               var_samp(bits) FILTER (is_memorized), count(*) FILTER (is_memorized),
               var_samp(bits) FILTER (NOT is_memorized), count(*) FILTER (NOT is_memorized)) AS margin
    FROM by_cluster
),
placebo AS (
    SELECT avg(other.bits) FILTER (owner.is_memorized) - avg(other.bits) FILTER (NOT owner.is_memorized) AS placebo
    FROM dealt AS owner
    JOIN dealt AS other ON other.card = owner.seat
)
SELECT difference, difference - margin AS difference_lower,
       difference + margin AS difference_upper, placebo
FROM summary, placebo
WHERE difference IS NOT NULL
