-- One row per checkpoint with a training step: what its name says, which series it belongs to and its place there.
-- series_id: the name without step and tokens, shared by the checkpoints of one run, stage and seed. series_index: 0 = earliest.
-- suite_id: series_id without the stage; suite_index counts through its stages, which may begin again at step 0.
-- A revision without a number, named in a profile in its order, is one of its repository's series; its step is its place.
-- The patterns are those of probes/checkpoints/names.py.
WITH parts AS (
    SELECT checkpoint_id, corpus_id, training_step,
           CASE len(string_split(checkpoint_id, '--'))
               WHEN 1 THEN checkpoint_id WHEN 2 THEN '' ELSE string_split(checkpoint_id, '--')[-1]
           END AS revision,
           regexp_replace(checkpoint_id, '(^|[^A-Za-z])(?:global_?step|step|checkpoint|ckpt|iter|iteration)[-_.]?([0-9]+)([^0-9A-Za-z]|$)', '\1\3', 'i') AS stepless
    FROM checkpoints
    WHERE training_step IS NOT NULL
), bare AS (
    SELECT * REPLACE (
        CASE WHEN stepless = checkpoint_id AND regexp_matches(revision, CASE WHEN revision = checkpoint_id THEN '(^|[^0-9A-Za-z])([0-9]+)$' ELSE '^([0-9]+)$' END)
             THEN regexp_replace(checkpoint_id, '(^|[^0-9A-Za-z])([0-9]+)$', '\1')
             WHEN stepless = checkpoint_id AND len(string_split(checkpoint_id, '--')) > 2
                  AND NOT regexp_matches(revision, '(^|[^A-Za-z0-9])(stage[0-9]+(?:-ingredient[0-9]+)?|phase[0-9]+|lc-[0-9]+k-to-[0-9]+k|longctx|extension|it)([^A-Za-z0-9]|$)', 'i')
             THEN regexp_replace(checkpoint_id, '--[^-]*(-[^-]+)*$', '') ELSE stepless END AS stepless)
    FROM parts
), named AS (
    SELECT *,
           coalesce(nullif(regexp_replace(regexp_replace(regexp_replace(stepless, '[-_.](?:tokens[-_.]?([0-9]+)([KMBT])|([0-9]+)([KMB])T)([^0-9A-Za-z]|$)', '\5', 'i'), '-{3,}', '--'), '[-_.]+$|^[-_.]+', '', 'g'), ''), 'checkpoints') AS series_id,
           nullif(regexp_extract(revision, '(^|[^A-Za-z0-9])(stage[0-9]+(?:-ingredient[0-9]+)?|phase[0-9]+|lc-[0-9]+k-to-[0-9]+k|longctx|extension|it)([^A-Za-z0-9]|$)', 2, 'i'), '') AS stage,
           regexp_extract(checkpoint_id, '[-_.](?:tokens[-_.]?([0-9]+)([KMBT])|([0-9]+)([KMB])T)([^0-9A-Za-z]|$)', ['count', 'unit', 'plain_count', 'plain_unit'], 'i') AS tokens
    FROM bare
), staged AS (
    SELECT checkpoint_id, corpus_id, series_id, stage, training_step,
           coalesce(nullif(regexp_replace(replace(series_id, coalesce(stage, ''), ''), '[-_.]+$|^[-_.]+', '', 'g'), ''), 'checkpoints') AS suite_id,
           CAST(nullif(tokens.count || tokens.plain_count, '') AS BIGINT)
               * CASE upper(tokens.unit || tokens.plain_unit) WHEN 'K' THEN 1000 WHEN 'M' THEN 1000000 WHEN 'B' THEN 1000000000 WHEN 'T' THEN 1000000000000 END AS training_tokens,
           CASE WHEN stage IS NULL THEN 0
                WHEN regexp_matches(stage, '^(stage|phase)', 'i') THEN CAST(regexp_extract(stage, '[0-9]+') AS INTEGER)
                WHEN lower(stage) = 'it' THEN 1001 ELSE 1000 END AS stage_rank
    FROM named
)
SELECT checkpoint_id, corpus_id, series_id, training_step,
       dense_rank() OVER series - 1                     AS series_index,
       count(*) OVER whole                              AS checkpoint_count,
       training_step = max(training_step) OVER whole    AS is_last,
       suite_id, stage, stage_rank, training_tokens,
       dense_rank() OVER suite - 1                      AS suite_index
FROM staged
WINDOW series AS (PARTITION BY corpus_id, series_id ORDER BY training_step),
       whole AS (PARTITION BY corpus_id, series_id),
       suite AS (PARTITION BY corpus_id, suite_id ORDER BY stage_rank, stage, training_step)
