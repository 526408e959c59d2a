-- mean_margin(value): half the width of the 95 % interval of a mean over rows that are independent (one per cluster).
-- An aggregate, like avg. Student's t; NULL below three values, so that an interval without a basis is never shown.
SELECT t_quantile(count(value) - 1) * stddev_samp(value) / sqrt(count(value))
