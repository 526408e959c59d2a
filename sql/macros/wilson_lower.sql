-- wilson_lower(share, trials): lower end of the 95 % Wilson interval of a share seen in so many independent trials.
-- NULL below three trials. 3.841458820694124 is the square of the normal distribution's 97.5 % quantile.
SELECT CASE WHEN trials >= 3 THEN
    greatest(0.0, (share + 3.841458820694124 / (2 * trials)
        * (1 - sqrt(1 + 4 * trials * share * (1 - share) / 3.841458820694124))) / (1 + 3.841458820694124 / trials))
END
