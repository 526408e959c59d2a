-- One row per checkpoint and scored paragraph whose training order is known: how often it had been read, and how long ago.
-- exposure_count: whole exposures up to the checkpoint's step. cut_count: sequences that held a part. steps_ago: steps since
-- the last whole exposure; NULL where there was none.
WITH known AS (
    SELECT DISTINCT corpus_id, checkpoints
    FROM exposures
),
counted AS (
    SELECT scored.checkpoint_id, scored.corpus_id, scored.paragraph_id, scored.training_step,
           scored.near_duplicate_cluster, scored.duplication_count, scored.exact_match, scored.is_memorized,
           scored.continuation_nll_nats,
           count(*) FILTER (shown.is_whole)                                        AS exposure_count,
           count(*) FILTER (NOT shown.is_whole)                                    AS cut_count,
           min(shown.training_step) FILTER (shown.is_whole)                        AS first_read_at,
           max(shown.training_step) FILTER (shown.is_whole)                        AS last_read_at,
           arg_max(shown.sequence_offset, shown.exposure) FILTER (shown.is_whole)  AS last_sequence_offset
    FROM scored_paragraphs AS scored
    JOIN known ON known.corpus_id = scored.corpus_id AND scored.checkpoint_id GLOB known.checkpoints
    LEFT JOIN exposures AS shown
           ON shown.corpus_id = scored.corpus_id AND shown.paragraph_id = scored.paragraph_id
          AND shown.training_step <= scored.training_step
    WHERE scored.training_step IS NOT NULL
    GROUP BY ALL
)
SELECT *, training_step - last_read_at AS steps_ago
FROM counted
