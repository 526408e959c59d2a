-- preview(text, width := 80): the beginning of a text on one line, for answers that people read.
SELECT CASE
    WHEN length(regexp_replace(trim(text), '\s+', ' ', 'g')) <= width THEN regexp_replace(trim(text), '\s+', ' ', 'g')
    ELSE left(regexp_replace(trim(text), '\s+', ' ', 'g'), width - 1) || '…'
END
