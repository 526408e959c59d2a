-- One row per checkpoint with a training step: which series it belongs to and its place there.
-- series_id: the name without the step at its end; checkpoints of one training run share it. series_index: 0 = earliest.
WITH named AS (
    SELECT checkpoint_id, corpus_id, training_step,
           coalesce(nullif(regexp_replace(checkpoint_id, '[-_.]*(global_?step|step|checkpoint|ckpt)?[-_.]*[0-9]+$', ''), ''), 'checkpoints') AS series_id
    FROM checkpoints
    WHERE training_step IS NOT NULL
)
SELECT checkpoint_id, corpus_id, series_id, training_step,
       dense_rank() OVER series - 1                     AS series_index,
       count(*) OVER whole                              AS checkpoint_count,
       training_step = max(training_step) OVER whole    AS is_last
FROM named
WINDOW series AS (PARTITION BY corpus_id, series_id ORDER BY training_step),
       whole AS (PARTITION BY corpus_id, series_id)
