-- Is what the model writes instead of the truth also from the corpus?
-- Share of the tokens from the first missed one on; true_share: the same of real text, its own place left out.
SELECT em_bin, written_share, lower, upper, true_share, whole_share, true_whole_share, longest_mean, cluster_count
FROM written_from_corpus
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY em_bin
