-- Rows whose memorized flag, divergence and exact match contradict each other.
SELECT checkpoint_id, paragraph_id, exact_match, is_memorized, divergence_position
FROM scored_paragraphs
WHERE is_memorized <> (exact_match = continuation_length)
   OR is_memorized <> (divergence_position IS NULL)
   OR divergence_position <> prefix_length + exact_match
