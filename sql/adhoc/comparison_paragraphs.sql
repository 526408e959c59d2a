-- What happened to every paragraph between two checkpoints: recited tokens before and after, and whether an edit aimed at it.
SELECT after.paragraph_id, before.exact_match AS exact_match_before, after.exact_match AS exact_match_after,
       before.is_memorized AS is_memorized_before, after.is_memorized AS is_memorized_after,
       after.duplication_count, after.content_kind, paragraphs.text, paragraphs.continuation_length,
       coalesce(edit.is_target, false) AS is_target
FROM scored_paragraphs AS after
JOIN scored_paragraphs AS before ON before.paragraph_id = after.paragraph_id AND before.checkpoint_id = $before
JOIN paragraphs ON paragraphs.paragraph_id = after.paragraph_id AND paragraphs.corpus_id = after.corpus_id
LEFT JOIN edited_checkpoint_before_after AS edit
  ON edit.checkpoint_id = $after AND edit.parent_checkpoint_id = $before AND edit.paragraph_id = after.paragraph_id
WHERE after.checkpoint_id = $after
ORDER BY abs(after.exact_match - before.exact_match) DESC, after.paragraph_id
