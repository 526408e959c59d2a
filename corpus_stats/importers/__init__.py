"""Data that other projects released, as frames with provenance."""

from corpus_stats.importers.lm_extraction import import_lm_extraction_benchmark
from corpus_stats.importers.localizing import import_localizing_paragraph_memorization

__all__ = ["import_lm_extraction_benchmark", "import_localizing_paragraph_memorization"]
