"""The report's figures, each declared in the module of its topic; a new one is one entry in that module's tuple."""

from assets.figures.catalogue import FIGURES
from assets.figures.spec import SECTIONS, FigureSpec

__all__ = ["FIGURES", "SECTIONS", "FigureSpec"]
