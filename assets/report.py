"""The report: one self-contained HTML file."""

import base64
from importlib.resources import files
from typing import Any

import dagster as dg
import polars as pl

import sql
from assets.automation import WHEN_TABLES_CHANGE
from assets.figures import FIGURES, file_name
from assets.findings import Finding, findings, latest_checkpoint
from assets.resources import Workspace
from warehouse.atomic import digest, replace_file, write_json
from warehouse.catalog import catalog_key
from warehouse.home import Home
from warehouse.queries import mapping, query

_STRIPS = {
    "surprisal_bits": "rarity [bits]",
    "em_drop": "EM drop [tokens]",
    "strongest_attention": "strongest attention of any head",
}


def report_key(home: Home, corpus_id: str) -> str:
    """What the report is made from: the corpus, the catalog, the template, the findings' and figures' queries."""
    queries = {name: q.text for name, q in sql.load("adhoc").items()}
    return digest({"corpus": corpus_id, "catalog": catalog_key(home), "template": _template(), "queries": queries})


def is_written(home: Home, corpus_id: str) -> bool:
    """Whether the report is about this corpus and shows the catalog as it is now."""
    record = home.report.with_name("report.json")
    return home.report.exists() and record.exists() and report_key(home, corpus_id) in record.read_text()


@dg.asset(group_name="report", kinds={"html"}, deps=["figures"], automation_condition=WHEN_TABLES_CHANGE)
def report(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Findings in sentences, figures beside their nulls, the strongest triggers, the queries behind every number."""
    home = workspace.open_home()
    corpus_id = workspace.open_profile().corpus_id
    checkpoint_id = latest_checkpoint(home, corpus_id) or ""
    html = render(home, checkpoint_id)
    replace_file(home.report, lambda path: path.write_text(html, encoding="utf-8"))
    write_json(home.report.with_name("report.json"), {"key": report_key(home, corpus_id)})
    context.log.info(f"report: {home.report}")
    said = "\n".join(f"* **{f.title}.** {f.sentence}" for f in _said(home, checkpoint_id))
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(home.report)), "findings": dg.MetadataValue.md(said)}
    )


def render(home: Home, checkpoint_id: str) -> str:
    """The report about a checkpoint as HTML; all text from the corpus is escaped."""
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_template()).render(
        checkpoint_id=checkpoint_id,
        facts=_rows(home, "report_facts", checkpoint_id),
        findings=_said(home, checkpoint_id),
        queries={name: q.text for name, q in sql.load("adhoc").items()},
        figures=[(spec, _image(home, file_name(spec))) for spec in FIGURES],
        triggers=_trigger_rows(home, checkpoint_id),
        strips=_strips(home, checkpoint_id),
        checkpoints=_rows(home, "report_checkpoints", checkpoint_id),
        claims=_rows(home, "report_claims", checkpoint_id),
        database=str(home.database),
    )


def _template() -> str:
    return files("assets").joinpath("templates", "report.html").read_text(encoding="utf-8")


def _said(home: Home, checkpoint_id: str) -> list[Finding]:
    return findings(home, checkpoint_id) if checkpoint_id else []


def _rows(home: Home, name: str, checkpoint_id: str) -> list[dict[str, Any]]:
    text = sql.load_one("adhoc", name).text
    return query(home, text, {"checkpoint_id": checkpoint_id} if "$checkpoint_id" in text else None).to_dicts()


def _image(home: Home, name: str) -> str:
    return base64.b64encode((home.report.parent / "figures" / name).read_bytes()).decode()


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
