"""The asset that writes the report."""

import dagster as dg

import sql
from assets.automation import WHEN_TABLES_CHANGE
from assets.figures.files import omissions
from assets.findings import latest_checkpoint
from assets.report.page import render, said, template
from assets.resources import Workspace
from warehouse.atomic import digest, replace_file, write_json
from warehouse.catalog import catalog_key
from warehouse.home import Home


def report_key(home: Home, corpus_id: str) -> str:
    """What the report is made from: the corpus, the catalog, the template, the findings' and figures' queries."""
    queries = {name: q.text for name, q in sql.load("adhoc").items()}
    return digest({"corpus": corpus_id, "catalog": catalog_key(home), "template": template(), "queries": queries})


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
    html = render(home, checkpoint_id, omissions(home))
    replace_file(home.report, lambda path: path.write_text(html, encoding="utf-8"))
    write_json(home.report.with_name("report.json"), {"key": report_key(home, corpus_id)})
    context.log.info(f"report: {home.report}")
    findings = "\n".join(f"* **{f.title}.** {f.sentence}" for f in said(home, checkpoint_id))
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(home.report)), "findings": dg.MetadataValue.md(findings)}
    )
