"""Scans: documents, their windows as shards, passages with everything that is said of them, the page."""
