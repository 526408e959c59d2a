"""Analyses that join measurements: which heads look at rare tokens, and whether rare tokens trigger recital."""
