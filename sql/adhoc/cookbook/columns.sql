-- Which tables and columns are there, and what do they mean?
SELECT table_name, column_name, data_type, preview(comment, 90) AS meaning
FROM duckdb_columns()
WHERE NOT internal AND database_name = current_database()
ORDER BY table_name, column_index
