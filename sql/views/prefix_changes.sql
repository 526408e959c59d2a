-- One row per perturbation: what changing one token of the prefix costs, by paragraphs that are recited and others.
-- is_memorized: recited in full or, where no paragraph is and the corpus was screened, among the furthest recited, which stand
-- in (is_stand_in). em_drop: tokens of the continuation lost; of a stand-in the share lost of what it recites, in tokens of a
-- whole continuation, so that the scale is the same (a change after which more is recited costs nothing).
SELECT perturbations.checkpoint_id, corpus_id, perturbations.paragraph_id, perturbations.position, policy, is_main_policy, draw,
       reference, replacement_id, reference = 'corpus' AS is_memorized,
       reference = 'corpus' AND NOT scored_paragraphs.is_memorized AS is_stand_in,
       CASE WHEN reference = 'corpus' AND scored_paragraphs.exact_match < continuation_length
            THEN continuation_length * (1 - least(1, perturbations.exact_match / scored_paragraphs.exact_match))
            ELSE perturbations.em_drop END AS em_drop,
       delta_nll_nats, near_duplicate_cluster
FROM perturbations
JOIN scored_paragraphs USING (checkpoint_id, paragraph_id)
