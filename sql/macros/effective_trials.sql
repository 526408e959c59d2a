-- effective_trials(share, variance, clusters): independent trials that would scatter as a weighted share over clusters does.
-- For wilson_lower and wilson_upper; NULL below three clusters. Corrected by Student's t for few clusters (Korn and Graubard
-- 1998, Survey Methodology 24, 193). Where the share is 0 or 1 nothing scatters, and it is the number of clusters.
SELECT CASE WHEN clusters >= 3 THEN
    (1.9599639845400545 / t_quantile(clusters - 1)) ** 2
    * CASE WHEN variance > 0 AND share > 0 AND share < 1 THEN share * (1 - share) / variance ELSE clusters END
END
