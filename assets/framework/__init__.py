"""Machinery under every stage: declaration, materialization, Dagster assets, profiles, workers, progress."""
