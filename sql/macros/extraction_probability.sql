-- extraction_probability(logprob, n): probability that at least one of n samples is the continuation, 1 - (1 - p_z)^n.
-- The p for which it is just (n, p)-discoverable (Hayes et al. 2025, arXiv 2410.19482); below 1e-4 by its series.
SELECT CASE
    WHEN sampling_effort(logprob) * n < 1e-4
        THEN sampling_effort(logprob) * n
            * (1.0 - sampling_effort(logprob) * n / 2.0 + (sampling_effort(logprob) * n) ** 2 / 6.0)
    ELSE 1.0 - exp(-sampling_effort(logprob) * n)
END
