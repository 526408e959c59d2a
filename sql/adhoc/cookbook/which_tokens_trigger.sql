-- Which tokens trigger this paragraph?
-- em_drop: tokens of the continuation lost when this token is replaced. Choose with SET VARIABLE paragraph = '…'.
SELECT position, token, em_drop, delta_nll_nats, surprisal_bits, prefix_rarity_rank, token_nll_nats, activation_gradient
FROM triggers
WHERE checkpoint_id = chosen_checkpoint() AND paragraph_id = chosen_paragraph()
ORDER BY em_drop DESC NULLS LAST, position
LIMIT 10
