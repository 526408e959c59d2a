-- One row per checkpoint, basis and threshold: what share of the corpus' windows it recites, from a sample with weights.
-- basis: 'screened windows' for the checkpoint that was asked, 'paragraphs' for all checkpoints. least_exact_match: how far
-- counts, all of the continuation, 80 % and 50 %. Clusters are stretches of 100,000 tokens of one document, or near
-- duplicates. Ratio estimate; its variance between clusters gives the number of independent trials behind Wilson's interval,
-- corrected by Student's t (Korn and Graubard 1998, Survey Methodology 24, 193). sample_share: what the sample itself shows.
WITH asked AS (
    SELECT screen_checkpoint_id AS checkpoint_id, corpus_id, 'screened windows' AS basis, exact_match, weight, window_count,
           document_id::VARCHAR || ':' || (token_offset // 100000) AS cluster
    FROM screened_windows
    JOIN screening_windows USING (corpus_id, paragraph_id)
    UNION ALL
    SELECT checkpoint_id, corpus_id, 'paragraphs', exact_match, weight, 1, near_duplicate_cluster::VARCHAR
    FROM scored_paragraphs
    JOIN paragraph_weights USING (corpus_id, paragraph_id)
),
threshold AS (
    SELECT corpus_id, ceil(share * max(continuation_length))::INTEGER AS least_exact_match
    FROM paragraphs
    CROSS JOIN (SELECT unnest([1.0, 0.8, 0.5]) AS share)
    GROUP BY corpus_id, share
),
by_cluster AS (
    SELECT checkpoint_id, corpus_id, basis, least_exact_match, cluster, sum(weight) AS weight,
           sum(weight * (exact_match >= least_exact_match)::INTEGER) AS recited, sum(window_count) AS window_count,
           sum(window_count * (exact_match >= least_exact_match)::INTEGER) AS recited_count
    FROM asked
    JOIN threshold USING (corpus_id)
    GROUP BY ALL
),
estimate AS (
    SELECT *, sum(recited) OVER whole / sum(weight) OVER whole AS share
    FROM by_cluster
    WINDOW whole AS (PARTITION BY checkpoint_id, basis, least_exact_match)
),
spread AS (
    SELECT checkpoint_id, corpus_id, basis, least_exact_match, any_value(share) AS share, count(*) AS cluster_count,
           sum(window_count)::BIGINT AS window_count, sum(recited_count)::BIGINT AS recited_count,
           sum(recited_count) / sum(window_count) AS sample_share, sum(weight) AS corpus_window_count,
           sum(weight) ** 2 / sum(weight ** 2) AS even_clusters,
           count(*) / (count(*) - 1.0) * sum((recited - share * weight) ** 2) / sum(weight) ** 2 AS variance
    FROM estimate
    GROUP BY ALL
),
effective AS (
    SELECT *, effective_trials(share, variance, CASE WHEN share BETWEEN 1e-12 AND 1 - 1e-12 THEN cluster_count
                                                     ELSE least(cluster_count, even_clusters) END) AS trials
    FROM spread
)
SELECT checkpoint_id, corpus_id, training_step, basis, least_exact_match, share AS corpus_share,
       wilson_lower(share, trials) AS lower, wilson_upper(share, trials) AS upper,
       sample_share, recited_count, window_count, corpus_window_count, cluster_count
FROM effective
JOIN checkpoints USING (checkpoint_id, corpus_id)
ORDER BY training_step, checkpoint_id, basis DESC, least_exact_match DESC
