"""The heat strip: one prefix, token by token, under several quantities."""

from typing import Any

import numpy as np
import polars as pl

from assets.plots import new_figure

QUANTITIES = {"surprisal_bits": "rarity", "em_drop": "EM drop", "strongest_attention": "attention"}


def trigger_strip(frame: pl.DataFrame) -> Any:
    """A figure of the tokens of one prefix, each shaded by rarity, EM drop and the strongest attention of any head.

    Args:
        frame: rows of the query `trigger_strip`, one per position; without any the figure says so.
    """
    figure, ax = new_figure(10.5, 2.2)
    if frame.is_empty():
        ax.text(0.5, 0.5, "no paragraph was perturbed", ha="center", transform=ax.transAxes)
        return figure
    shades = np.stack([_strength(frame[column]) for column in QUANTITIES])
    ax.imshow(np.ma.masked_invalid(shades), cmap="Oranges", vmin=0, vmax=1, aspect="auto")
    highest = frame.select(pl.col(name).cast(pl.Float64).max().fill_null(0.0) for name in QUANTITIES).row(0)
    labels = [f"{name} (darkest {value:.3g})" for name, value in zip(QUANTITIES.values(), highest, strict=True)]
    ax.set_yticks(range(len(QUANTITIES)), labels, fontsize=8)
    ax.set_xticks(range(frame.height), [_shown(token) for token in frame["token"]], rotation=90, fontsize=7)
    for label in ax.get_xticklabels():
        label.set_parse_math(False)  # a token may be a dollar sign
    kind = "memorized" if frame["is_memorized"][0] else "not memorized"
    ax.set_title(f"paragraph {frame['paragraph_id'][0][:12]}, {kind}", fontsize=9)
    return figure


def _strength(values: pl.Series) -> np.ndarray:
    """Values from 0 (lowest) to 1 (highest), [position]; NaN where nothing was measured."""
    numbers = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    return (numbers - low) / max(high - low, 1e-9)


def _shown(token: str, width: int = 10) -> str:
    """A token as a label: white space made visible, cut where long, nothing a font may lack."""
    text = token.replace("\n", "↵").replace("\t", "→").replace(" ", "·")
    text = "".join(letter if letter.isprintable() and ord(letter) < 0x2600 else "?" for letter in text)
    return text if len(text) <= width else text[: width - 1] + "…"
