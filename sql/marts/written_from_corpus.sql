-- One row per checkpoint and bin of exact match: is what the model wrote instead also from the corpus?
-- Of the tokens from the first missed one on, the share that lies in stretches of the corpus which reach that far: mean over
-- near-duplicate clusters with 95 % interval. true_share: the same of the true tokens there, their own place left out:
-- how much real text of this corpus shares with other places, what a writer who copies nothing but common text reaches.
-- whole_share: written to the end in one such stretch. longest_mean: longest stretch beyond the first missed token [tokens].
WITH text AS (
    SELECT checkpoint_id, corpus_id, training_step, paragraph_id, em_bin, near_duplicate_cluster,
           unnest(['written', 'true'])                       AS traced_text,
           prefix_length + exact_match                       AS first_wrong,
           prefix_length + continuation_length               AS behind,
           token_offset
    FROM generations
    JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
),
covered AS (
    SELECT checkpoint_id, paragraph_id, traced_text, count(DISTINCT place) AS covered_count
    FROM (
        SELECT checkpoint_id, paragraph_id, traced_text,
               unnest(range(position + token_count - divergent_count, position + token_count)) AS place
        FROM traces
        WHERE divergent_count > 0
    )
    GROUP BY ALL
),
longest AS (
    SELECT checkpoint_id, paragraph_id, traced_text, max(divergent_count) AS divergent_count, max(token_count) AS token_count
    FROM traces
    WHERE divergent_count > 0
    GROUP BY ALL
),
paragraph AS (
    SELECT text.*,
           coalesce(covered_count, 0) / (behind - first_wrong)               AS covered_share,
           (coalesce(divergent_count, 0) = behind - first_wrong)::INTEGER    AS is_whole,
           coalesce(token_count, 0)                                          AS longest
    FROM text
    LEFT JOIN covered USING (checkpoint_id, paragraph_id, traced_text)
    LEFT JOIN longest USING (checkpoint_id, paragraph_id, traced_text)
    WHERE traced_text = 'written' OR token_offset IS NOT NULL
),
by_cluster AS (
    SELECT checkpoint_id, corpus_id, training_step, em_bin, near_duplicate_cluster,
           avg(covered_share) FILTER (traced_text = 'written')  AS written_share,
           avg(covered_share) FILTER (traced_text = 'true')     AS true_share,
           avg(is_whole) FILTER (traced_text = 'written')       AS whole_share,
           avg(is_whole) FILTER (traced_text = 'true')          AS true_whole_share,
           avg(longest) FILTER (traced_text = 'written')        AS longest,
           avg(longest) FILTER (traced_text = 'true')           AS true_longest
    FROM paragraph
    GROUP BY ALL
)
SELECT checkpoint_id, corpus_id, training_step, em_bin,
       avg(written_share)                                       AS written_share,
       mean_lower(written_share, 0)                             AS lower,
       mean_upper(written_share, 1)                             AS upper,
       avg(true_share)                                          AS true_share,
       avg(whole_share)                                         AS whole_share,
       avg(true_whole_share)                                    AS true_whole_share,
       avg(longest)                                             AS longest_mean,
       avg(true_longest)                                        AS true_longest_mean,
       count(*)                                                 AS cluster_count
FROM by_cluster
GROUP BY ALL
ORDER BY training_step, checkpoint_id, em_bin
