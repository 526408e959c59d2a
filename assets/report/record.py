"""The report on disk: written, and whether it shows the catalog as it is now."""

from __future__ import annotations

from pathlib import Path

import sql
from assets.figures.files import omissions
from assets.framework.profile import ReportSettings, settings_of
from assets.report.comparison import checkpoint_to_compare
from assets.report.page import render, template
from warehouse.catalog.publish import catalog_key
from warehouse.catalog.queries import one_publication
from warehouse.files import digest, replace_file
from warehouse.home import Home


def report_key(home: Home, corpus_id: str, settings: ReportSettings) -> str:
    """What the report is made from: the corpus, the catalog, the template, the queries of findings and figures."""
    queries = {name: q.text for name, q in sql.load("adhoc").items()}
    told = {"corpus": corpus_id, "settings": settings_of(settings)}
    return digest({**told, "catalog": catalog_key(home), "template": template(), "queries": queries})


def is_written(home: Home, corpus_id: str, settings: ReportSettings | None = None) -> bool:
    """Whether the report is about this corpus and shows the catalog as it is now."""
    record = home.report.with_name("report.json")
    key = report_key(home, corpus_id, settings or ReportSettings())
    return home.report.exists() and record.exists() and key in record.read_text()


def write_report(home: Home, checkpoint_id: str, settings: ReportSettings, target: Path) -> None:
    """Write the report about a checkpoint; needs the figures of the last drawing."""
    with one_publication(home):
        before = checkpoint_to_compare(home, checkpoint_id) or ""
        html = render(home, checkpoint_id, omissions(home), settings, before)
    replace_file(target, lambda path: path.write_text(html, encoding="utf-8"))
