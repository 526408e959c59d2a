-- Paragraphs of the browser: half of them those measured most closely and recited furthest, the rest a fixed random pick.
WITH perturbed AS (
    SELECT DISTINCT paragraph_id, true AS is_perturbed FROM perturbations WHERE checkpoint_id = $checkpoint_id
),
ranked AS (
    SELECT scored_paragraphs.*, coalesce(is_perturbed, false) AS is_perturbed,
           row_number() OVER (ORDER BY is_perturbed NULLS LAST, exact_match DESC, paragraph_id) AS place
    FROM scored_paragraphs
    LEFT JOIN perturbed USING (paragraph_id)
    WHERE checkpoint_id = $checkpoint_id
),
chosen AS (
    SELECT *
    FROM ranked
    QUALIFY row_number() OVER (ORDER BY place > $limit / 2, CASE WHEN place > $limit / 2 THEN md5(paragraph_id) END) <= $limit
),
series AS (
    SELECT paragraph_id, list(exact_match ORDER BY training_step NULLS FIRST, checkpoint_id) AS exact_match_series
    FROM scored_paragraphs
    WHERE corpus_id = (SELECT corpus_id FROM checkpoints WHERE checkpoint_id = $checkpoint_id)
    GROUP BY ALL
)
SELECT paragraph_id, chosen.corpus_id, token_ids, paragraphs.prefix_length, exact_match, is_memorized, continuation_nll_nats,
       chosen.duplication_count, chosen.content_kind, chosen.subset, chosen.document_id, chosen.near_duplicate_cluster,
       is_perturbed, exact_match_series, generated_ids
FROM chosen
JOIN paragraphs USING (paragraph_id, corpus_id)
LEFT JOIN series USING (paragraph_id)
LEFT JOIN generations ON generations.paragraph_id = chosen.paragraph_id AND generations.checkpoint_id = $checkpoint_id
ORDER BY exact_match DESC, chosen.duplication_count DESC, paragraph_id
