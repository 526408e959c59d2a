"""Figures about unlearning and editing."""

from assets.figures.spec import FigureSpec

FIGURES: tuple[FigureSpec, ...] = ()
