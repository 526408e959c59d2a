-- When is each paragraph of a series first recited, is it forgotten again, and how often was it shown?
SELECT series_id, paragraph_id, duplication_count, first_memorized_at, forgotten_at, recovered_at, is_memorized_at_end
FROM memorization_dynamics
ORDER BY series_id, first_memorized_at, duplication_count DESC, paragraph_id
