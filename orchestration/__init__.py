"""The Dagster code location and the `rarecall` command line."""
