"""All declared figures in the order of the report."""

from assets.figures import dynamics, edits, localization, memorization, series, triggers

FIGURES = (
    *memorization.FIGURES,
    *triggers.FIGURES,
    *localization.FIGURES,
    *edits.FIGURES,
    *series.FIGURES,
    *dynamics.FIGURES,
)
