"""Scan stages: documents of the profile, position by position, and what follows from that."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from assets.framework import model_stage
from assets.framework.profile import Profile, settings_of
from assets.framework.stage import Frames, Scope, Shards, stage
from assets.scan.documents import ScanText, document_files
from assets.scan.results import RESULT_TABLES, ScanExtras, results
from assets.scan.work import ScanSubject, ScanWork, no_scan_rows
from warehouse.record.frames import read_frame


def _settings(profile: Profile) -> dict[str, Any]:
    documents = None if profile.documents is None else settings_of(profile.documents, "triggers")
    return {"documents": documents, **model_stage.model_settings(profile)}


def documents_of(scope: Scope) -> tuple[ScanText, ...]:
    """Texts that the profile registers; names begin with the folder where there are several paths."""
    chosen = scope.profile.documents
    found = [] if chosen is None else [(path, document_files(path, Path())) for path in chosen.paths]
    several = len(found) > 1
    return tuple(
        ScanText(f"{Path(path).name}/{d.name}" if several and Path(path).is_dir() else d.name, d.path)
        for path, documents in found
        for d in documents
    )


def _contents(scope: Scope) -> dict[str, Any]:
    return {"documents": [(document.name, document.content()) for document in documents_of(scope)]}


def work_of(scope: Scope) -> ScanWork | None:
    """The scan of the profile's documents by the scope's checkpoint; None without documents."""
    from probes.scan import ScanPlan

    documents, probes = documents_of(scope), scope.profile.probes
    if scope.profile.documents is None or not documents:
        return None
    checkpoint = scope.read("checkpoints", ["source", "revision"]).row(0, named=True)
    plan = ScanPlan(**settings_of(scope.profile.documents, "triggers", "paths"))
    return ScanWork(
        ScanSubject(
            scope.checkpoint_id or "", checkpoint["source"], checkpoint["revision"], documents, plan,
            probes.device, probes.dtype, probes.batch_size,
        )
    )  # fmt: skip


@stage(
    tables=("scan_positions",),
    reads=("checkpoints",),
    settings=_settings,
    outside=_contents,
    spreads=True,
    group="memorization",
    kinds={"pytorch", "parquet"},
)
def scan_positions(scope: Scope) -> Shards:
    """Every start of the profile's documents (docs/scan.md)."""
    work = work_of(scope)
    if work is None:
        return Shards(1, lambda _: {"scan_positions": no_scan_rows("scan_positions")})
    return Shards(work.count, work.compute)


@stage(
    tables=RESULT_TABLES,
    reads=("checkpoints", "tokenizers", "corpora", "unigrams", "scan_positions"),
    settings=lambda profile: (
        _settings(profile) | {"triggers": None if profile.documents is None else profile.documents.triggers}
    ),
    outside=_contents,
    group="memorization",
    kinds={"pytorch", "parquet"},
)
def scans(scope: Scope) -> Shards:
    """Passages, how much of each document is recited, the finder's recall, and the null beside it."""
    return Shards(1, functools.partial(_results, scope), "scans")


def _results(scope: Scope, _: int) -> Frames:
    work, documents = work_of(scope), scope.profile.documents
    if work is None or documents is None:
        return {name: no_scan_rows(name) for name in RESULT_TABLES}
    store = scope.store("scan_positions")
    parts = (read_frame([file], store.table) for file in store.files(scope.partition("scan_positions")))
    return results(work, parts, ScanExtras(documents.triggers, None, scope.home, scope.profile.corpus_id))
