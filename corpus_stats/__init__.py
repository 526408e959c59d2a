"""Corpora, tokenizers, paragraph sampling, unigram rarity, duplicates. Knows no model, no Dagster, no SQL."""

from corpus_stats.documents import Document
from corpus_stats.errors import CorpusError

__all__ = ["CorpusError", "Document"]
