-- Which share of a paragraph's gradient lies in the lower half of the layers, memorized against not?
WITH layers AS (
    SELECT layer_count FROM checkpoints WHERE checkpoint_id = $checkpoint_id
),
paragraph AS (
    SELECT paragraph_id, paragraph_group, sum(max_abs) FILTER (layer < layer_count / 2) / sum(max_abs) AS low_share
    FROM parameter_gradients, layers
    WHERE checkpoint_id = $checkpoint_id AND paragraph_id IS NOT NULL
    GROUP BY ALL
),
dealt AS (
    SELECT *, row_number() OVER (ORDER BY paragraph_group, paragraph_id) AS seat,
           row_number() OVER (ORDER BY md5('placebo' || paragraph_id)) AS card
    FROM paragraph
),
placebo AS (
    SELECT avg(other.low_share) FILTER (owner.paragraph_group = 'MP')
         - avg(other.low_share) FILTER (owner.paragraph_group = 'NMP') AS placebo
    FROM dealt AS owner
    JOIN dealt AS other ON other.card = owner.seat
),
summary AS (
    SELECT avg(low_share) FILTER (paragraph_group = 'MP')  AS memorized,
           avg(low_share) FILTER (paragraph_group = 'NMP') AS others,
           difference_margin(
               var_samp(low_share) FILTER (paragraph_group = 'MP'), count(*) FILTER (paragraph_group = 'MP'),
               var_samp(low_share) FILTER (paragraph_group = 'NMP'), count(*) FILTER (paragraph_group = 'NMP')) AS margin
    FROM paragraph
)
SELECT memorized, others, memorized - others - margin AS difference_lower,
       memorized - others + margin AS difference_upper, placebo
FROM summary, placebo
