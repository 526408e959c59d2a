-- How much does a checkpoint recite in full, beside what it recites of text it was never trained on?
-- lower, upper: 95 % Wilson interval over near-duplicate clusters. untrained_share: NULL where every paragraph was trained on.
SELECT checkpoint_id, corpus_id, memorized_count, paragraph_count, memorized_share,
       wilson_lower(memorized_share, cluster_count) AS lower, wilson_upper(memorized_share, cluster_count) AS upper,
       (SELECT memorized_share FROM memorization_by_duplication AS rung
        WHERE rung.checkpoint_id = checkpoint_summary.checkpoint_id AND duplication_count = 0) AS untrained_share,
       (SELECT max(prefix_length) FROM paragraphs
        WHERE paragraphs.corpus_id = checkpoint_summary.corpus_id)                             AS prefix_length,
       (SELECT max(continuation_length) FROM paragraphs
        WHERE paragraphs.corpus_id = checkpoint_summary.corpus_id)                             AS continuation_length
FROM checkpoint_summary
WHERE checkpoint_id = $checkpoint_id
