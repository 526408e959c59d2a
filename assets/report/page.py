"""The report as HTML; all text from the corpus is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from functools import cache
from importlib.resources import files
from typing import Any

import sql
from assets.figures.catalogue import FIGURES
from assets.figures.files import folder, inline_svg
from assets.figures.spec import SECTIONS, FigureSpec
from assets.figures.style import css_variables
from assets.framework.profile import ReportSettings
from assets.report.browser import as_script, browser_data, shown_token
from assets.report.findings import Finding, findings
from assets.report.provenance import tables_of, versions
from warehouse.catalog.queries import mapping, query
from warehouse.home import Home

_VERDICTS = ("supported", "contradicted", "no effect of interest", "undecided", "not testable here")
_NOT_DRAWN = "it has not been drawn since it was declared; `rarecall run` draws it."


def render(home: Home, checkpoint_id: str, omitted: dict[str, str], settings: ReportSettings) -> str:
    """The report about a checkpoint.

    Args:
        home: where catalog and figures lie.
        checkpoint_id: what it is about; empty when nothing has been measured.
        omitted: figures that were not drawn, by name, with the sentence that says why.
        settings: how many paragraphs it shows, and whether what looks personal or secret is hidden.
    """
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    facts, claims = _rows(home, "report_facts", checkpoint_id), _rows(home, "report_claims", checkpoint_id)
    browser = browser_data(home, checkpoint_id, settings.browser_paragraphs, settings.redact)
    script = _file("browser.js")
    return environment.from_string(_file("report.html")).render(
        checkpoint_id=checkpoint_id,
        facts=facts,
        findings=said(home, checkpoint_id),
        queries=_Queries(checkpoint_id),
        sections=[(title, *_section(home, name, omitted)) for name, title in SECTIONS.items()],
        triggers=_trigger_rows(home, checkpoint_id, browser if settings.redact else None),
        browser=as_script(browser) if browser else "",
        is_redacted=settings.redact,
        script=script,
        script_hash=_script_hash(script),
        checkpoints=_rows(home, "report_checkpoints", checkpoint_id),
        claims=claims,
        verdicts=_verdicts(claims),
        tables=tables_of(home, checkpoint_id, facts[0]["corpus_id"] if facts else ""),
        versions=versions(),
        database=str(home.database),
        style=_style(),
        to_json=lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False),
    )


def template() -> str:
    """Everything the look of the report depends on."""
    return _file("report.html") + _style() + _file("browser.js")


def said(home: Home, checkpoint_id: str) -> list[Finding]:
    """The findings about a checkpoint."""
    return findings(home, checkpoint_id) if checkpoint_id else []


@cache
def _file(name: str) -> str:
    return files("assets").joinpath("report", "templates", name).read_text(encoding="utf-8")


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
    missing = {s.name: _NOT_DRAWN for s in specs if not (folder(home) / f"{s.name}.svg").exists()} | omitted
    drawn = [(spec, inline_svg(home, spec)) for spec in specs if spec.name not in missing]
    return drawn, [(spec, missing[spec.name]) for spec in specs if spec.name in missing]


def _rows(home: Home, name: str, checkpoint_id: str) -> list[dict[str, Any]]:
    text = sql.load_one("adhoc", name).text
    return query(home, text, {"checkpoint_id": checkpoint_id} if "$checkpoint_id" in text else None).to_dicts()


def _verdicts(claims: list[dict[str, Any]]) -> str:
    """How many claims got which verdict, in one sentence."""
    counts = Counter(claim["verdict"] for claim in claims)
    said = [f"{counts[verdict]} {verdict}" for verdict in _VERDICTS if counts[verdict]]
    return f"Of {len(claims)} claims: {', '.join(said)}."


def _trigger_rows(home: Home, checkpoint_id: str, redacted: dict[str, Any] | None) -> list[dict[str, Any]]:
    rows = _rows(home, "report_triggers", checkpoint_id)
    for row in rows:
        heads = mapping(row["attention"])
        row["top_head"] = max(heads, key=lambda head: heads[head]) if heads else ""
        row["top_attention"] = heads.get(row["top_head"], 0.0)
        if redacted is not None:
            row["token"] = shown_token(redacted, row["paragraph_id"], row["position"])
    return rows


def _script_hash(script: str) -> str:
    """What the content security policy lets run: this script and no other."""
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"
