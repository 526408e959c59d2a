-- welch_degrees(variance, trials, other_variance, other_trials): degrees of freedom of a difference of two means.
-- Welch (1947) and Satterthwaite, for t_quantile. NULL where either side has fewer than three clusters or neither scatters.
SELECT CASE WHEN least(trials, other_trials) >= 3 THEN
    (variance / trials + other_variance / other_trials) ** 2 / nullif(
        (variance / trials) ** 2 / (trials - 1) + (other_variance / other_trials) ** 2 / (other_trials - 1), 0)
END
