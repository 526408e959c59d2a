"""Storage: the table registry, the Parquet record with its manifests, the catalog people query."""
