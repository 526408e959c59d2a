-- Which heads put most of their attention on the first token?
SELECT layer || '.' || head AS head_ref, avg(attention[1]) AS first_token_attention, avg(self_share) AS self_share,
       avg(list_max(attention)) AS strongest_attention
FROM head_attention
WHERE checkpoint_id = chosen_checkpoint()
GROUP BY ALL
ORDER BY first_token_attention DESC, head_ref
LIMIT 10
