-- sampling_effort(logprob): -log(1 - p_z) in nats, what one sample adds towards extraction; infinite for p_z = 1.
-- Below 1e-4 by its series, because 1 - p_z has lost the digits of p_z there; relative error below 1e-11 everywhere.
SELECT CASE
    WHEN exp(logprob) >= 1.0 THEN 'infinity'::DOUBLE
    WHEN exp(logprob) < 1e-4 THEN exp(logprob) * (1.0 + exp(logprob) / 2.0 + exp(2.0 * logprob) / 3.0)
    ELSE -ln(1.0 - exp(logprob))
END
