"""The report as HTML; all text from the corpus is escaped."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import sql
from assets.figures.catalogue import FIGURES, HERO
from assets.figures.files import folder, inline_svg
from assets.figures.spec import SECTIONS, FigureSpec, Section
from assets.figures.style import css_variables
from assets.figures.words import answer_of
from assets.framework.profile import ReportSettings
from assets.report import claims as of_papers
from assets.report.browser import as_script, browser_data, shown_token
from assets.report.drawings import multiples
from assets.report.headline import headline
from assets.report.provenance import tables_of, versions
from warehouse.catalog.queries import mapping, query
from warehouse.home import Home

_NOT_DRAWN = "it has not been drawn since it was declared; `rarecall run` draws it."


class Drawn(NamedTuple):
    """A figure of the page: its declaration, its SVG, and its answer in words."""

    spec: FigureSpec
    image: str
    answer: str


class FigureSection(NamedTuple):
    """Figures of one section: those shown, those folded away, and those left out with the reason."""

    title: str
    main: list[Drawn]
    further: list[Drawn]
    left_out: list[tuple[FigureSpec, str]]


def render(
    home: Home, checkpoint_id: str, omitted: dict[str, str], settings: ReportSettings, compared_with: str = ""
) -> str:
    """The report about a checkpoint.

    Args:
        home: where catalog and figures lie.
        checkpoint_id: what it is about; empty when nothing has been measured.
        omitted: figures that were not drawn, by name, with the sentence that says why.
        settings: how many paragraphs it shows, and whether what looks personal or secret is hidden.
        compared_with: the checkpoint that the page of two beside the report compares it with, if there is one.
    """
    facts, claims = _rows(home, "report_facts", checkpoint_id), _rows(home, "report_claims", checkpoint_id)
    browser = browser_data(home, checkpoint_id, settings.browser_paragraphs, settings.redact)
    checkpoints, script = _rows(home, "report_checkpoints", checkpoint_id), _file("browser.js")
    return (
        environment()
        .get_template("report.html")
        .render(
            checkpoint_id=checkpoint_id,
            facts=facts,
            headline=headline(home, checkpoint_id) if checkpoint_id else None,
            hero=_hero(home, checkpoint_id, omitted),
            queries=_Queries(checkpoint_id),
            sections=[_section(home, checkpoint_id, name, omitted) for name in SECTIONS],
            triggers=_trigger_rows(home, checkpoint_id, browser if settings.redact else None),
            browser=as_script(browser) if browser else "",
            is_redacted=settings.redact,
            script=script,
            script_hash=_script_hash(script),
            checkpoints=checkpoints,
            multiples=multiples(_rows(home, HERO.query, checkpoint_id), checkpoints),
            **_claims(claims),
            beside_reported=of_papers.beside_reported(claims) if settings.opens_with_claims else [],
            compared_with=compared_with,
            tables=tables_of(home, checkpoint_id, facts[0]["corpus_id"] if facts else ""),
            versions=versions(),
            database=str(home.database),
            style=style(),
            to_json=lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False),
        )
    )


def environment() -> Any:
    """The templates; every text that they fill in is escaped."""
    from jinja2 import Environment, FunctionLoader

    return Environment(loader=FunctionLoader(_file), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def template() -> str:
    """Everything the look of the report depends on."""
    names = sorted(f.name for f in files("assets").joinpath("report", "templates").iterdir())
    return "".join(_file(name) for name in names) + style()


@cache
def _file(name: str) -> str:
    return files("assets").joinpath("report", "templates", name).read_text(encoding="utf-8")


def style() -> str:
    """The look of every page, in light, dark and print."""
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


def _hero(home: Home, checkpoint_id: str, omitted: dict[str, str]) -> Drawn | None:
    is_there = HERO.name not in omitted and (folder(home) / f"{HERO.name}.svg").exists()
    return _drawn(home, checkpoint_id, HERO) if is_there else None


def _drawn(home: Home, checkpoint_id: str, spec: FigureSpec) -> Drawn:
    answer = answer_of(spec, spec.frame(home, checkpoint_id))
    return Drawn(spec, inline_svg(home, spec, f"{spec.title}. {answer or spec.caption}"), answer)


def _section(home: Home, checkpoint_id: str, section: Section, omitted: dict[str, str]) -> FigureSection:
    specs = [spec for spec in FIGURES if spec.section == section and spec != HERO]
    missing = {s.name: _NOT_DRAWN for s in specs if not (folder(home) / f"{s.name}.svg").exists()} | omitted
    drawn = [_drawn(home, checkpoint_id, spec) for spec in specs if spec.name not in missing]
    return FigureSection(
        SECTIONS[section],
        [pair for pair in drawn if not pair.spec.is_further],
        [pair for pair in drawn if pair.spec.is_further],
        [(spec, missing[spec.name]) for spec in specs if spec.name in missing],
    )


def _claims(claims: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "claims": claims,
        "claim_groups": of_papers.by_verdict(claims),
        "untestable": of_papers.untestable(claims),
        "verdicts": of_papers.counts(claims) if claims else "",
        "measured_on": of_papers.measured_on(claims),
    }


def _rows(home: Home, name: str, checkpoint_id: str) -> list[dict[str, Any]]:
    text = sql.load_one("adhoc", name).text
    return query(home, text, {"checkpoint_id": checkpoint_id} if "$checkpoint_id" in text else None).to_dicts()


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
