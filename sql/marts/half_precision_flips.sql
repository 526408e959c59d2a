-- One row per checkpoint: how often its precision would have given another exact match than float32.
-- flip_share: of all paragraphs, with 95 % Wilson interval, as far as rescoring under margin_bound saw. In float32, the
-- reference, nothing is rescored and nothing can flip.
SELECT checkpoint_id, dtype, max(margin_bound) AS margin_bound,
       sum(paragraph_count)::BIGINT                                                          AS paragraph_count,
       sum(rescored_count)::BIGINT                                                           AS rescored_count,
       sum(flipped_count)::BIGINT                                                            AS flipped_count,
       sum(flipped_count) / sum(paragraph_count)                                             AS flip_share,
       wilson_lower(sum(flipped_count) / sum(paragraph_count), sum(paragraph_count))         AS lower,
       wilson_upper(sum(flipped_count) / sum(paragraph_count), sum(paragraph_count))         AS upper
FROM scoring_precision
GROUP BY checkpoint_id, dtype
ORDER BY checkpoint_id
