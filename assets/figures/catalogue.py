"""All declared figures in the order of the report."""

from assets.figures import axis, edits, localization, memorization, series, triggers

FIGURES = (
    *memorization.FIGURES,
    *triggers.FIGURES,
    *localization.FIGURES,
    *axis.FIGURES,
    *edits.FIGURES,
    *series.FIGURES,
)

HERO = series.FIGURES[0]
"""The figure beside the headline of the report."""
