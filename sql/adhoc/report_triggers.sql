-- Which prefix tokens trigger a memorized paragraph? The strongest of each, with everything measured at the token.
-- Ties in EM drop go to the larger change of NLL; tie_count: how many tokens have this EM drop.
WITH ranked AS (
    SELECT *, count(*) OVER (PARTITION BY paragraph_id, em_drop) AS tie_count,
           row_number() OVER (PARTITION BY paragraph_id ORDER BY em_drop DESC, delta_nll_nats DESC, position) AS place
    FROM triggers
    WHERE checkpoint_id = $checkpoint_id AND is_memorized AND em_drop IS NOT NULL
)
SELECT paragraph_id, position, token, surprisal_bits, prefix_rarity_rank, em_drop, tie_count, delta_nll_nats, token_nll_nats,
       activation_gradient, attention, duplication_count
FROM ranked
WHERE place = 1
ORDER BY em_drop DESC, delta_nll_nats DESC, paragraph_id
LIMIT 25
