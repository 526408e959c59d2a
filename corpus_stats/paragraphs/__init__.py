"""Paragraphs: sampling of windows, filters, strata, kinds, the duplication ladder."""
