-- em_bin(exact_match, continuation_length := 50): bin of an exact match: 0-10, 11-29, 30-49, 50 for 50 tokens.
-- Stoehr et al. 2024, section 3.2; for other lengths the upper ends keep their share, rounded down.
SELECT CASE
    WHEN exact_match = continuation_length THEN continuation_length::VARCHAR
    WHEN exact_match <= 10 * continuation_length // 50 THEN '0-' || (10 * continuation_length // 50)
    WHEN exact_match <= 29 * continuation_length // 50
        THEN (10 * continuation_length // 50 + 1) || '-' || (29 * continuation_length // 50)
    ELSE (29 * continuation_length // 50 + 1) || '-' || (continuation_length - 1)
END
