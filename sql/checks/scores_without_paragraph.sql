-- Scored paragraphs that no corpus holds.
SELECT checkpoint_id, paragraph_id
FROM scores
ANTI JOIN paragraphs USING (paragraph_id)
