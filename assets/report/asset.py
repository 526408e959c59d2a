"""The asset that writes the report."""

import dagster as dg

from assets.framework.checkpoint_names import subject_checkpoint
from assets.framework.dagster_assets import WHEN_TABLES_CHANGE, Workspace
from assets.report.comparison import checkpoint_to_compare, write_comparison
from assets.report.headline import headline
from assets.report.record import report_key, write_report
from warehouse.files import write_json


@dg.asset(group_name="report", kinds={"html"}, deps=["figures"], automation_condition=WHEN_TABLES_CHANGE)
def report(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Findings in sentences, figures beside their nulls, a browser of paragraphs, the queries behind every number."""
    home, profile = workspace.open_home(), workspace.open_profile()
    checkpoint_id = subject_checkpoint(home, profile) or ""
    write_report(home, checkpoint_id, profile.report, home.report)
    if before := checkpoint_to_compare(home, checkpoint_id):
        target = home.report.with_name("comparison.html")
        write_comparison(home, before, checkpoint_id, target, profile.report.redact)
    write_json(home.report.with_name("report.json"), {"key": report_key(home, profile.corpus_id, profile.report)})
    context.log.info(f"report: {home.report}")
    said = headline(home, checkpoint_id) if checkpoint_id else None
    findings = "\n".join(f"* {line}" for line in said.lines()) if said else "Nothing has been measured yet."
    return dg.MaterializeResult(
        metadata={"file": dg.MetadataValue.path(str(home.report)), "findings": dg.MetadataValue.md(findings)}
    )
