-- What each localization's heads cost, beside as many random heads.
SELECT * FROM localization_score_card WHERE checkpoint_id = $checkpoint_id ORDER BY evaluation, choice
