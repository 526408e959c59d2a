"""Figures as files beside the report: `<name>.svg` and `<name>.png`, and `figures.json` with what was left out."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sql
from assets.figures.spec import FigureSpec, drawn
from assets.figures.style import LABELS, STAND_INS, NothingToShowError, recited_named, themed, with_variables
from assets.framework.plot_cache import drawing_code
from warehouse.catalog.queries import query as read
from warehouse.files import digest, replace_file, write_json
from warehouse.home import Home

if TYPE_CHECKING:
    import polars as pl

PNG_DPI = 160
_DRAWN = "drawn.json"


def folder(home: Home) -> Path:
    """Where the figures lie."""
    return home.report.parent / "figures"


def write_figure(home: Home, spec: FigureSpec, checkpoint_id: str) -> str:
    """Draw one figure and write it as SVG and PNG; returns markdown for the Dagster UI.

    What was drawn before from the same rows by the same code is left as it is.

    Raises:
        NothingToShowError: there is nothing to draw; files of an earlier run are removed.
    """
    frame, name = spec.frame(home, checkpoint_id), recited_name(home, checkpoint_id)
    key, image = _drawing_key(spec, frame, name), folder(home) / f"{spec.name}.png"
    if _drawn_from(home).get(spec.name) != [key, *_stats(home, spec)]:
        with recited_named(name):
            _draw(home, spec, frame)
        write_json(folder(home) / _DRAWN, _drawn_from(home) | {spec.name: [key, *_stats(home, spec)]})
    return f"![{spec.title}](data:image/png;base64,{base64.b64encode(_half_size(image.read_bytes())).decode()})"


def _draw(home: Home, spec: FigureSpec, frame: pl.DataFrame) -> None:
    with themed(spec.name):
        try:
            figure = drawn(spec, frame)
        except NothingToShowError:
            _remove(home, spec)
            raise
        vector = _saved(figure, "svg", metadata={"Date": None, "Creator": None})
        figure.set_layout_engine(None)  # the panels keep the places they got for the SVG
        _write(folder(home) / f"{spec.name}.svg", vector)
        pixels = _saved(figure, "png", dpi=PNG_DPI, metadata={"Software": None})
        _write(folder(home) / f"{spec.name}.png", pixels)


def recited_name(home: Home, checkpoint_id: str) -> str:
    """Of the group of what is recited: "memorized", or who stands in where nothing is recited in full."""
    query = sql.load_one("adhoc", "stand_in_count").text
    count = read(home, query, {"checkpoint_id": checkpoint_id})["stand_in_count"][0]
    return STAND_INS if count else LABELS["MP"]


def _drawing_key(spec: FigureSpec, frame: pl.DataFrame, name: str) -> str:
    """Hash over everything a drawing depends on: the rows, and the code that draws them."""
    rows = io.BytesIO()
    frame.write_ipc(rows)
    return digest(
        [
            spec.name,
            spec.panels,
            spec.height,
            spec.is_beside,
            hashlib.sha256(rows.getvalue()).hexdigest(),
            drawing_code(),
            *([name] if name == STAND_INS else []),
        ]
    )


def _drawn_from(home: Home) -> dict[str, Any]:
    """Key of each drawing, sizes and times of its files; a damaged note only means drawing again."""
    try:
        return dict(json.loads((folder(home) / _DRAWN).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _stats(home: Home, spec: FigureSpec) -> list[list[int]]:
    """Size and time of the SVG and the PNG, as far as they are there."""
    files = [folder(home) / f"{spec.name}.{suffix}" for suffix in ("svg", "png")]
    found = [file.stat() for file in files if file.is_file()]
    return [[stat.st_size, stat.st_mtime_ns] for stat in found]


def write_omissions(home: Home, checkpoint_id: str, omitted: dict[str, str]) -> None:
    """Note which figures were left out and why."""
    write_json(folder(home) / "figures.json", {"checkpoint_id": checkpoint_id, "omitted": omitted})


def omissions(home: Home) -> dict[str, str]:
    """Figures left out of the last drawing, with the sentence that says why."""
    note = folder(home) / "figures.json"
    return dict(json.loads(note.read_text(encoding="utf-8"))["omitted"]) if note.exists() else {}


def inline_svg(home: Home, spec: FigureSpec, alternative: str = "") -> str:
    """The figure as an SVG element for HTML: no prolog, ids of its own, colours of the page's theme.

    `alternative` is what is read aloud in its place; the title of the figure where there is none.
    """
    text = (folder(home) / f"{spec.name}.svg").read_text(encoding="utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{spec.name}-", text)
    said = html.escape(alternative or spec.title, quote=True)
    label = f'role="img" aria-label="{said}"'
    head = re.sub(r' (?:width|height|version|xmlns(?::xlink)?)="[^"]*"', "", text[: text.index(">")])
    return with_variables(f"{head} {label}{text[text.index('>') :]}")


def _saved(figure: Any, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()


def _half_size(pixels: bytes) -> bytes:
    """The same image small, for event logs; cheaper than to draw it again."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(pixels)).convert("RGB").reduce(2).quantize(32).save(buffer, format="png")
    return buffer.getvalue()


def _write(target: Path, data: bytes) -> None:
    replace_file(target, partial(_fill, data))


def _fill(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def _remove(home: Home, spec: FigureSpec) -> None:
    for suffix in ("svg", "png"):
        (folder(home) / f"{spec.name}.{suffix}").unlink(missing_ok=True)
