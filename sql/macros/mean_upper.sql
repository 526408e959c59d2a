-- mean_upper(value, most_possible := 'infinity'::DOUBLE): upper end of the 95 % interval of a mean over clusters.
-- An aggregate, like avg; see mean_margin. NULL below three values. No higher than the value itself can be: 1 for a share.
SELECT CASE WHEN mean_margin(value) IS NOT NULL THEN least(most_possible, avg(value) + mean_margin(value)) END
