-- mean_lower(value, least_possible := '-infinity'::DOUBLE): lower end of the 95 % interval of a mean over clusters.
-- An aggregate, like avg; see mean_margin. NULL below three values. No lower than the value itself can be: 0 for a share.
SELECT CASE WHEN mean_margin(value) IS NOT NULL THEN greatest(least_possible, avg(value) - mean_margin(value)) END
