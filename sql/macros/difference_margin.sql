-- difference_margin(variance, trials, other_variance, other_trials): half the width of the 95 % interval of a difference of
-- two means, each over its own clusters: Welch's t, see welch_degrees. NULL below three clusters on either side.
SELECT t_quantile(welch_degrees(variance, trials, other_variance, other_trials))
    * sqrt(variance / trials + other_variance / other_trials)
