-- One row per checkpoint, exact-match bin and part of the paragraph: how rare the tokens of recited text are.
-- placebo_bits: the same mean after the bins were dealt at random over the clusters (seeded by the cluster's hash).
WITH tokens AS (
    SELECT paragraph_id, corpus_id, near_duplicate_cluster, prefix_length,
           unnest(token_ids) AS token_id, generate_subscripts(token_ids, 1) - 1 AS position
    FROM paragraphs
),
paragraph_rarity AS (
    SELECT paragraph_id, corpus_id, near_duplicate_cluster, avg(surprisal_bits) AS surprisal_bits,
           CASE WHEN position < prefix_length THEN 'prefix' ELSE 'continuation' END AS part
    FROM tokens
    JOIN unigrams USING (corpus_id, token_id)
    GROUP BY ALL
),
by_cluster AS (
    SELECT checkpoint_id, em_bin, part, near_duplicate_cluster, avg(surprisal_bits) AS surprisal_bits,
           count(DISTINCT paragraph_id) AS paragraph_count
    FROM paragraph_rarity
    JOIN scored_paragraphs USING (corpus_id, paragraph_id, near_duplicate_cluster)
    GROUP BY ALL
),
dealt AS (
    SELECT *, row_number() OVER (PARTITION BY checkpoint_id, part ORDER BY em_bin, near_duplicate_cluster)    AS seat,
              row_number() OVER (PARTITION BY checkpoint_id, part ORDER BY md5('placebo' || near_duplicate_cluster || em_bin)) AS card
    FROM by_cluster
)
SELECT owner.checkpoint_id, owner.em_bin, owner.part,
       avg(owner.surprisal_bits)           AS surprisal_bits_mean,
       mean_lower(owner.surprisal_bits, 0) AS lower,
       mean_upper(owner.surprisal_bits)    AS upper,
       avg(other.surprisal_bits)           AS placebo_bits,
       count(*)                            AS cluster_count,
       sum(owner.paragraph_count)::BIGINT  AS paragraph_count
FROM dealt AS owner
JOIN dealt AS other ON other.checkpoint_id = owner.checkpoint_id AND other.part = owner.part AND other.card = owner.seat
GROUP BY ALL
ORDER BY ALL
