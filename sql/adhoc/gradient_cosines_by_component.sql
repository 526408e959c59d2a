-- Do memorized and other paragraphs pull a component in the same direction? Mean over heads, labels dealt at random beside.
SELECT checkpoint_id, space, component, layer, avg(cosine) AS cosine, avg(lower) AS lower, avg(upper) AS upper,
       avg(placebo) AS placebo
FROM gradient_cosines
GROUP BY ALL
ORDER BY checkpoint_id, space, component, layer
