"""The asset that draws the declared figures."""

from typing import Any

import dagster as dg

from assets.figures.catalogue import FIGURES
from assets.figures.files import write_figure, write_omissions
from assets.figures.style import NothingToShowError
from assets.framework import progress
from assets.framework.checkpoint_names import subject_checkpoint
from assets.framework.dagster_assets import WHEN_TABLES_CHANGE, Workspace
from warehouse.catalog.queries import one_publication


@dg.asset(group_name="report", kinds={"matplotlib"}, deps=["catalog"], automation_condition=WHEN_TABLES_CHANGE)
def figures(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
    """Figures of the latest checkpoint of the profile's corpus as SVG and PNG, each beside its null."""
    home = workspace.open_home()
    checkpoint_id = subject_checkpoint(home, workspace.open_profile()) or ""
    shown: dict[str, Any] = {"checkpoint": checkpoint_id}
    omitted: dict[str, str] = {}
    with one_publication(home):
        for spec in progress.track(FIGURES, "figures", len(FIGURES), "figures"):
            try:
                shown[spec.name] = dg.MetadataValue.md(write_figure(home, spec, checkpoint_id))
            except NothingToShowError as nothing:
                omitted[spec.name] = str(nothing)
    write_omissions(home, checkpoint_id, omitted)
    return dg.MaterializeResult(metadata={**shown, "omitted": dg.MetadataValue.json(omitted)})
