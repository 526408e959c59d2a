"""Corpora, tokenizers, paragraph sampling, rarity, exact and near duplicates. Knows no Dagster, no model, no SQL."""
