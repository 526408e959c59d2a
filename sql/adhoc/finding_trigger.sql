-- Is the token whose change costs most rarer than the tokens other paragraphs have at that position?
SELECT *
FROM strongest_triggers
WHERE checkpoint_id = $checkpoint_id AND is_memorized
