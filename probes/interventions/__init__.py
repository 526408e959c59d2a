"""Interventions on a running model: short-circuits, ablations, patching, and their effect on recital."""
