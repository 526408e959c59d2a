-- What is known of every token of a paragraph: rarity, what replacing it does, how much it surprises the model.
WITH words AS (
    SELECT corpus_id, paragraph_id, prefix_length, unnest(token_ids) AS token_id, generate_subscripts(token_ids, 1) - 1 AS position
    FROM paragraphs
    WHERE paragraph_id = $paragraph_id
      AND corpus_id = (SELECT corpus_id FROM checkpoints WHERE checkpoint_id = $checkpoint_id)
),
effect AS (
    SELECT position, avg(em_drop) AS em_drop, avg(delta_nll_nats) AS delta_nll_nats
    FROM prefix_changes
    WHERE checkpoint_id = $checkpoint_id AND paragraph_id = $paragraph_id AND is_main_policy
    GROUP BY ALL
)
SELECT words.position, token, words.position < prefix_length AS is_prefix, surprisal_bits, em_drop, delta_nll_nats, nll_nats
FROM words
LEFT JOIN unigrams ON unigrams.corpus_id = words.corpus_id AND unigrams.token_id = words.token_id
LEFT JOIN effect ON effect.position = words.position
LEFT JOIN token_scores ON token_scores.checkpoint_id = $checkpoint_id AND token_scores.paragraph_id = words.paragraph_id
     AND token_scores.position = words.position
ORDER BY words.position
