-- One row per checkpoint, duplication and near-duplicate cluster: near duplicates count once.
SELECT checkpoint_id, corpus_id, duplication_count, near_duplicate_cluster,
       avg(is_memorized::INTEGER)  AS memorized_share,
       avg(exact_match)            AS exact_match_mean,
       avg(continuation_nll_nats)  AS continuation_nll_nats,
       count(*)                    AS paragraph_count,
       sum(is_memorized::INTEGER)  AS memorized_count
FROM scored_paragraphs
GROUP BY ALL
