-- How often do windows of a scanned document get so far, and how often those of shuffled sentences?
SELECT document, match, max(share) FILTER (reach_text = 'document') AS document_share,
       max(share_lower) FILTER (reach_text = 'document') AS lower, max(share_upper) FILTER (reach_text = 'document') AS upper,
       max(share) FILTER (reach_text = 'null') AS null_share,
       max(share_upper) FILTER (reach_text = 'null') AS null_upper
FROM scan_reach
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY scan_id, document, match
ORDER BY document, scan_id, match
