"""Sources of documents: one module per kind, picked by name or by content."""

from corpus_stats.readers.base import Reader
from corpus_stats.readers.registry import ID_LINES, KINDS, PRETOKENIZED, detect_kind, open_source

__all__ = ["ID_LINES", "KINDS", "PRETOKENIZED", "Reader", "detect_kind", "open_source"]
