-- What was recited once and is so no longer?
SELECT left(paragraph_id, 12) AS paragraph, duplication_count, first_memorized_at, forgotten_at, recovered_at, exact_match_at_end
FROM memorization_dynamics
WHERE forgotten_at IS NOT NULL
ORDER BY forgotten_at, paragraph
LIMIT 10
