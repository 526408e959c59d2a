-- wilson_lower(share, trials): lower end of the 95 % Wilson interval of a share seen in so many independent trials.
-- NULL below three trials. 1.9599639845 is the 97.5 % quantile of the normal distribution, 3.8414588207 its square.
SELECT CASE WHEN trials >= 3 THEN
    greatest(0.0, (share + 3.8414588207 / (2 * trials)
        - 1.9599639845 * sqrt((share * (1 - share) + 3.8414588207 / (4 * trials)) / trials)) / (1 + 3.8414588207 / trials))
END
