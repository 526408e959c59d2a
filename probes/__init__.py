"""Everything measured on a model. Knows no Dagster, no SQL."""
