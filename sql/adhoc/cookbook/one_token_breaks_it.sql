-- In which paragraphs does one changed token destroy everything?
SELECT left(paragraph_id, 12) AS paragraph, count(*) AS breaking_count, min(position) AS first_position,
       string_agg(trim(token), ' ' ORDER BY position) AS tokens
FROM triggers
JOIN (SELECT DISTINCT paragraph_id, continuation_length FROM paragraphs) USING (paragraph_id)
WHERE checkpoint_id = chosen_checkpoint() AND is_memorized AND continuation_length - em_drop < 1
GROUP BY paragraph
ORDER BY breaking_count DESC, paragraph
LIMIT 10
