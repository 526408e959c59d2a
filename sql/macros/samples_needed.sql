-- samples_needed(logprob, p): samples after which the continuation has come up with probability p; not rounded.
-- The n for which it is just (n, p)-discoverable (Hayes et al. 2025, arXiv 2410.19482); infinite for p_z = 0.
SELECT CASE
    WHEN sampling_effort(logprob) = 0.0 THEN 'infinity'::DOUBLE
    ELSE greatest(1.0, -ln(1.0 - p) / sampling_effort(logprob))
END
