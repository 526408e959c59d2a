-- Which functions does the warehouse bring?
SELECT function_name, parameters, preview(comment, 110) AS meaning
FROM duckdb_functions()
WHERE NOT internal AND function_type IN ('macro', 'table_macro') AND database_name = current_database()
ORDER BY function_name
