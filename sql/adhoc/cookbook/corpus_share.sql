-- What share of the whole corpus is recited, where the sample was screened for recital?
SELECT basis, least_exact_match, corpus_share, lower, upper, sample_share, recited_count, window_count, corpus_window_count
FROM corpus_share_recited
WHERE checkpoint_id = chosen_checkpoint()
ORDER BY basis DESC, least_exact_match DESC
