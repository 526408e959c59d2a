-- How much does a checkpoint recite in full, beside what it recites of text it was never trained on?
-- lower, upper: 95 % Wilson interval over near-duplicate clusters. untrained_share: NULL where every paragraph was trained on.
-- corpus_share and its interval: of the whole corpus, where the sample was screened for recital and holds more than its share.
SELECT checkpoint_id, checkpoint_summary.corpus_id, memorized_count, paragraph_count, memorized_share,
       wilson_lower(memorized_share, cluster_count) AS lower, wilson_upper(memorized_share, cluster_count) AS upper,
       (SELECT memorized_share FROM memorization_by_duplication AS rung
        WHERE rung.checkpoint_id = checkpoint_summary.checkpoint_id AND duplication_count = 0) AS untrained_share,
       (SELECT max(prefix_length) FROM paragraphs
        WHERE paragraphs.corpus_id = checkpoint_summary.corpus_id)                             AS prefix_length,
       (SELECT max(continuation_length) FROM paragraphs
        WHERE paragraphs.corpus_id = checkpoint_summary.corpus_id)                             AS continuation_length,
       (SELECT count(DISTINCT paragraph_id) FROM prefix_changes
        WHERE prefix_changes.checkpoint_id = checkpoint_summary.checkpoint_id AND is_stand_in)  AS stand_in_count,
       corpus_share, corpus_lower, corpus_upper, window_count
FROM checkpoint_summary
LEFT JOIN (
    SELECT checkpoint_id, corpus_share, lower AS corpus_lower, upper AS corpus_upper, window_count
    FROM corpus_share_recited
    WHERE checkpoint_id = $checkpoint_id
    ORDER BY basis DESC, least_exact_match DESC
    LIMIT 1
) AS in_full USING (checkpoint_id)
WHERE checkpoint_id = $checkpoint_id
