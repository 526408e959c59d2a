"""The published DuckDB file: building it, querying it, its macros and hints."""
