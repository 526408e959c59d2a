-- chosen_checkpoint(): the checkpoint questions are about: the variable `checkpoint`, else the one trained longest.
-- Set it with SET VARIABLE checkpoint = '…', or `rarecall query NAME --checkpoint …`.
SELECT coalesce(getvariable('checkpoint')::VARCHAR, (
    SELECT checkpoint_id FROM checkpoints ORDER BY training_step DESC NULLS LAST, checkpoint_id DESC LIMIT 1
))
