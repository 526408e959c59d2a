-- When did training read this paragraph, in which sequence, and where in it?
-- Choose with SET VARIABLE paragraph = '…'. A part: the end of a sequence cut the paragraph.
SELECT exposure, training_step, training_sequence, sequence_offset, held_count, is_whole
FROM exposures
WHERE paragraph_id = chosen_paragraph()
ORDER BY exposure
LIMIT 10
