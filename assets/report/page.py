"""The report as HTML; all text from the corpus is escaped."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import polars as pl

import sql
from assets.figures.catalogue import FIGURES
from assets.figures.files import inline_svg
from assets.figures.spec import SECTIONS, FigureSpec
from assets.figures.style import css_variables
from assets.findings import Finding, findings
from assets.report.provenance import tables_of, versions
from warehouse.home import Home
from warehouse.queries import mapping, query

_STRIPS = {
    "surprisal_bits": "rarity [bits]",
    "em_drop": "EM drop [tokens]",
    "strongest_attention": "strongest attention of any head",
}


def render(home: Home, checkpoint_id: str, omitted: dict[str, str]) -> str:
    """The report about a checkpoint.

    Args:
        home: where catalog and figures lie.
        checkpoint_id: what it is about; empty when nothing has been measured.
        omitted: figures that were not drawn, by name, with the sentence that says why.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    facts = _rows(home, "report_facts", checkpoint_id)
    return environment.from_string(_file("report.html")).render(
        checkpoint_id=checkpoint_id,
        facts=facts,
        findings=said(home, checkpoint_id),
        queries=_Queries(checkpoint_id),
        sections=[(title, *_section(home, name, omitted)) for name, title in SECTIONS.items()],
        triggers=_trigger_rows(home, checkpoint_id),
        strips=_strips(home, checkpoint_id),
        checkpoints=_rows(home, "report_checkpoints", checkpoint_id),
        claims=_rows(home, "report_claims", checkpoint_id),
        tables=tables_of(home, checkpoint_id, facts[0]["corpus_id"] if facts else ""),
        versions=versions(),
        database=str(home.database),
        style=_style(),
        to_json=lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False),
    )


def template() -> str:
    """Everything the look of the report depends on."""
    return _file("report.html") + _style()


def said(home: Home, checkpoint_id: str) -> list[Finding]:
    """The findings about a checkpoint."""
    return findings(home, checkpoint_id) if checkpoint_id else []


@cache
def _file(name: str) -> str:
    return files("assets").joinpath("templates", name).read_text(encoding="utf-8")


def _style() -> str:
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {css_variables('dark')} }} }}"
    paper = f"@media print {{ :root {{ {css_variables('light')} }} }}"
    return f":root {{ {css_variables('light')} }}\n{dark}\n{paper}\n{_file('report.css')}"


class _Queries:
    """Texts of the named queries as they were asked, with the checkpoint they were asked about."""

    def __init__(self, checkpoint_id: str):
        self.checkpoint_id = checkpoint_id
        self.texts = {name: q.text.strip() for name, q in sql.load("adhoc").items()}

    def __getitem__(self, name: str) -> str:
        return self.texts[name].replace("$checkpoint_id", "'" + self.checkpoint_id.replace("'", "''") + "'")


def _section(
    home: Home, section: str, omitted: dict[str, str]
) -> tuple[list[tuple[FigureSpec, str]], list[tuple[FigureSpec, str]]]:
    """Figures drawn, with their SVG, and figures left out, with the reason."""
    specs = [spec for spec in FIGURES if spec.section == section]
    drawn = [(spec, inline_svg(home, spec)) for spec in specs if spec.name not in omitted]
    return drawn, [(spec, omitted[spec.name]) for spec in specs if spec.name in omitted]


def _rows(home: Home, name: str, checkpoint_id: str) -> list[dict[str, Any]]:
    text = sql.load_one("adhoc", name).text
    return query(home, text, {"checkpoint_id": checkpoint_id} if "$checkpoint_id" in text else None).to_dicts()


def _trigger_rows(home: Home, checkpoint_id: str) -> list[dict[str, Any]]:
    rows = _rows(home, "report_triggers", checkpoint_id)
    for row in rows:
        heads = mapping(row["attention"])
        row["top_head"] = max(heads, key=lambda head: heads[head]) if heads else ""
        row["top_attention"] = heads.get(row["top_head"], 0.0)
    return rows


def _strips(home: Home, checkpoint_id: str) -> list[dict[str, Any]]:
    """Per paragraph and quantity the tokens with a colour strength in 0..1."""
    text = sql.load_one("adhoc", "report_strips").text
    frame = query(home, text, {"checkpoint_id": checkpoint_id})
    return [
        {
            "paragraph_id": name[0],
            "copies": rows["duplication_count"][0],
            "lines": [_strip(rows, c, label) for c, label in _STRIPS.items()],
        }
        for name, rows in frame.group_by("paragraph_id", maintain_order=True)
    ]


def _strip(rows: pl.DataFrame, column: str, label: str) -> dict[str, Any]:
    values = rows[column].fill_null(0.0).cast(pl.Float64)
    low, high = float(values.min() or 0.0), float(values.max() or 0.0)  # type: ignore[arg-type]
    strength = ((values - low) / max(high - low, 1e-9)).to_list()
    tokens = [(token, round(s, 3), f"{v:.3g}") for token, s, v in zip(rows["token"], strength, values, strict=True)]
    return {"label": label, "tokens": tokens, "high": f"{high:.3g}"}
