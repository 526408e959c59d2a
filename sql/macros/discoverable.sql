-- discoverable(logprob, n, p): whether n samples hold the continuation with probability p, given its log probability in nats.
-- (n, p)-discoverable extraction (Hayes et al. 2025, arXiv 2410.19482): 1 - (1 - p_z)^n >= p, in other words
-- n >= log(1 - p) / log(1 - p_z). p from 0 (exclusive) to 1 (exclusive); what is certain is discoverable from n = 1 on.
SELECT sampling_effort(logprob) * n >= -ln(1.0 - p)
