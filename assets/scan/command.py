"""One scan as `rarecall scan` asks for it: documents times checkpoints, each a partition of the record of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from assets.framework import progress, workers
from assets.framework.errors import RequestError
from assets.scan.documents import ScanText, document_files, scratch_folder
from assets.scan.results import RESULT_TABLES, ScanExtras, results
from assets.scan.work import ScanSubject, ScanWork
from warehouse.files import digest
from warehouse.fingerprints import checkpoint_content
from warehouse.home import Home
from warehouse.record.frames import read_frame
from warehouse.record.parts import TableStore, partition_lock
from warehouse.registrations import registration

if TYPE_CHECKING:
    from probes.scan import ScanPlan
    from probes.workers import EngineSettings

TABLES = ("scan_positions", *RESULT_TABLES)


@dataclass(frozen=True)
class ScanRequest:
    """What is to be scanned by which checkpoints, and how.

    Attributes:
        source: file, folder, or - for standard input.
        checkpoint_ids: registered checkpoints.
        plan: lengths, stride, way.
        triggers: sweep the prefixes of the longest passages.
        null: file to measure the null on; None shuffles the sentences of each document.
        encoding: of the files; None reads UTF-8, or what a byte order mark says.
        device, dtype: as in [probes].
        engine: where shards run.
        unregistered: registrations of checkpoints that are asked but not registered, by the id they go by here.
    """

    source: str
    checkpoint_ids: tuple[str, ...]
    plan: ScanPlan
    triggers: bool = False
    null: str | None = None
    encoding: str | None = None
    device: str = "auto"
    dtype: str = "float32"
    engine: EngineSettings | None = None
    unregistered: dict[str, dict[str, Any]] = field(default_factory=dict)

    def facts(self, home: Home, checkpoint_id: str) -> dict[str, Any]:
        """Registration of a checkpoint.

        Raises:
            RefusedError: it is not registered, and nobody said where it lies.
        """
        return self.unregistered.get(checkpoint_id) or registration(home, "checkpoints", checkpoint_id)


@dataclass(frozen=True)
class Scanned:
    """One document scanned by one checkpoint, and whether that was done now rather than before."""

    scan_id: str
    checkpoint_id: str
    document: str
    is_new: bool

    def rows(self, home: Home, table: str) -> pl.DataFrame:
        """Its rows of a table."""
        return TableStore.of(home, table).read(self.scan_id)


def scan(
    home: Home,
    request: ScanRequest,
    on_skipped: Callable[[str], None] = lambda said: None,
    on_scanned: Callable[[Scanned, ScanWork], None] | None = None,
) -> list[Scanned]:
    """Scan every document with every checkpoint; what was scanned before with the same inputs is left as it is.

    Args:
        home: where checkpoints are registered and tables are written.
        request: what to do.
        on_skipped: told in one sentence of each file of a folder that is no text or too short.
        on_scanned: called with each scan and its texts while they are there.

    Raises:
        RequestError: the request cannot be met; of a folder only when none of its files can be scanned.
    """
    for checkpoint_id in request.checkpoint_ids:
        request.facts(home, checkpoint_id)
    done: list[Scanned] = []
    with scratch_folder(home) as scratch, progress.shown_by_command():
        documents = document_files(request.source, Path(scratch), request.encoding)
        refused: dict[str, RequestError] = {}
        for document in documents:
            for checkpoint_id in request.checkpoint_ids:
                try:
                    done.append(_scan_document(home, request, checkpoint_id, document, scratch, on_scanned))
                except RequestError as error:
                    refused.setdefault(document.name, error)
        if not done:
            raise next(iter(refused.values()))
    for refusal in refused.values():
        on_skipped(str(refusal))
    return done


def _scan_document(
    home: Home,
    request: ScanRequest,
    checkpoint_id: str,
    document: ScanText,
    scratch: str,
    on_scanned: Callable[[Scanned, ScanWork], None] | None,
) -> Scanned:
    facts = request.facts(home, checkpoint_id)
    extras = _extras(home, request, checkpoint_id, facts)
    inputs = _inputs(home, request, checkpoint_id, facts, document)
    scan_id = f"{_slug(document.name)}-{digest(inputs)[:12]}"
    final = inputs | {"extras": _extras_key(extras)}
    stores = {name: TableStore.of(home, name) for name in TABLES}
    subject = ScanSubject(
        checkpoint_id, facts["source"], facts.get("revision"), (document,), request.plan, request.device, request.dtype,
        scratch=scratch,
    )  # fmt: skip
    work = _Lazily(subject)
    with partition_lock(stores["scan_positions"], scan_id):
        is_new = not all(stores[name].is_current(scan_id, final) for name in RESULT_TABLES)
        if is_new or not stores["scan_positions"].is_current(scan_id, inputs):
            _write_positions(work.made, stores["scan_positions"], scan_id, inputs, request.engine)
            _write_results(work.made, stores, scan_id, final, extras)
    scanned = Scanned(scan_id, checkpoint_id, document.name, is_new)
    if on_scanned is not None:
        on_scanned(scanned, work.made)
    return scanned


@dataclass
class _Lazily:
    """The work of a subject, made when somebody needs it."""

    subject: ScanSubject

    @cached_property
    def made(self) -> ScanWork:
        """The work; tokenizes the text."""
        return ScanWork(self.subject)


def _write_positions(
    work: ScanWork, store: TableStore, scan_id: str, inputs: dict[str, Any], engine: EngineSettings | None
) -> None:
    """Missing shards, here or on the workers of an engine; a scan that was interrupted goes on where it was."""
    if store.is_current(scan_id, inputs):
        return
    writer = store.writer(scan_id, inputs, work.count)
    missing = writer.missing()
    label = f"scan {work.name(0)} {work.subject.checkpoint_id}"
    with closing(workers.spread_shards(work, partial(ScanWork, work.subject), missing, engine)) as shards:
        for shard, frames in progress.track(shards, label, len(missing), "shards"):
            writer.write(shard, frames["scan_positions"], scan_id=scan_id)
    writer.finish()


def _write_results(
    work: ScanWork, stores: dict[str, TableStore], scan_id: str, inputs: dict[str, Any], extras: ScanExtras
) -> None:
    frames = results(work, _parts(stores["scan_positions"], scan_id), extras)
    for name in RESULT_TABLES:
        writer = stores[name].writer(scan_id, inputs, 1)
        writer.write(0, frames[name], scan_id=scan_id)
        writer.finish()


def _parts(store: TableStore, scan_id: str) -> Iterator[pl.DataFrame]:
    return (read_frame([file], store.table) for file in store.files(scan_id))


def _inputs(
    home: Home, request: ScanRequest, checkpoint_id: str, facts: dict[str, Any], document: ScanText
) -> dict[str, Any]:
    """Everything the positions depend on; the content of files, not where they lie."""
    content = checkpoint_content(home, checkpoint_id, Path(facts["source"]))
    return {
        "checkpoint_id": checkpoint_id,
        "is_registered": checkpoint_id not in request.unregistered,
        "checkpoint": content or [facts["source"], facts.get("revision")],
        "document": [document.name, document.content(), document.encoding],
        "plan": asdict(request.plan),
        "settings": {"device": request.device, "dtype": request.dtype},
    }


def _extras(home: Home, request: ScanRequest, checkpoint_id: str, facts: dict[str, Any]) -> ScanExtras:
    null = (
        ScanText(Path(request.null).name, str(Path(request.null).resolve()), request.encoding) if request.null else None
    )
    if null is not None and not Path(null.path).is_file():
        raise RequestError(f"there is no file {request.null} to measure the null on; check the path.")
    return ScanExtras(request.triggers, null, home, facts.get("corpus_id"))


def _extras_key(extras: ScanExtras) -> dict[str, Any]:
    """What else the results depend on: the null's text and the checkpoint's corpus."""
    corpus = {}
    for name in ("tokenizers", "corpora", "unigrams"):
        manifest = TableStore.of(extras.home, name).manifest(extras.corpus_id) if extras.corpus_id else None
        corpus[name] = manifest.content_sha256 if manifest else None
    null = [extras.null.name, extras.null.content()] if extras.null else None
    return {"triggers": extras.triggers, "null": null, "corpus": corpus}


def _slug(name: str) -> str:
    """A document's name as part of a folder's name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[-60:].strip("-._") or "document"
