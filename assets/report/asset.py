"""The asset that writes the report."""

from pathlib import Path

import dagster as dg

import sql
from assets.automation import WHEN_TABLES_CHANGE
from assets.figures.files import omissions
from assets.findings import latest_checkpoint
from assets.profile import ReportSettings, settings_of
from assets.report.page import render, said, template
from assets.resources import Workspace
from warehouse.atomic import digest, replace_file, write_json
from warehouse.catalog import catalog_key
from warehouse.home import Home
from warehouse.queries import one_publication


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


@dg.asset(group_name="report", kinds={"html"}, deps=["figures"], automation_condition=WHEN_TABLES_CHANGE)
def report(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Findings in sentences, figures beside their nulls, a browser of paragraphs, the queries behind every number."""
    home, profile = workspace.open_home(), workspace.open_profile()
    checkpoint_id = latest_checkpoint(home, profile.corpus_id) or ""
    write_report(home, checkpoint_id, profile.report, home.report)
    write_json(home.report.with_name("report.json"), {"key": report_key(home, profile.corpus_id, profile.report)})
    context.log.info(f"report: {home.report}")
    findings = "\n".join(f"* **{f.title}.** {f.sentence}" for f in said(home, checkpoint_id))
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(home.report)), "findings": dg.MetadataValue.md(findings)}
    )


def write_report(home: Home, checkpoint_id: str, settings: ReportSettings, target: Path) -> None:
    """Write the report about a checkpoint; needs the figures of the last drawing."""
    with one_publication(home):
        html = render(home, checkpoint_id, omissions(home), settings)
    replace_file(target, lambda path: path.write_text(html, encoding="utf-8"))
