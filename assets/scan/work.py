"""Work of a scan, cut into shards: ranges of starts of every document, each a pure function of its index."""

from __future__ import annotations

import functools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from assets.framework.errors import RequestError
from assets.framework.stage import Frames
from assets.scan.documents import ScanText, placed

if TYPE_CHECKING:
    from corpus_stats.tokens.placed import PlacedTokens
    from probes.scan import ScanModels, ScanPlan

SHARD_STARTS = 2000
"""Starts of a shard, in whole rows of the anchored pass."""


@dataclass(frozen=True)
class ScanSubject:
    """Everything a worker needs to scan: the checkpoint, the documents, how, and where its folder may lie.

    Attributes:
        checkpoint_id: name of the checkpoint.
        source: folder or hub id of the checkpoint, with `revision`.
        documents: texts to scan.
        plan: how.
        device, dtype, batch_size: as in the profile's [probes].
        scratch: existing folder for what is tokenized; None takes the system's.
    """

    checkpoint_id: str
    source: str
    revision: str | None
    documents: tuple[ScanText, ...]
    plan: ScanPlan
    device: str = "auto"
    dtype: str = "float32"
    batch_size: int = 32
    scratch: str | None = None


@dataclass
class ScanWork:
    """Shards of a scan; tokenizes when it is made, loads the model with the first shard."""

    subject: ScanSubject
    documents: list[PlacedTokens] = field(init=False)
    ranges: list[tuple[int, int, int]] = field(init=False)
    _folder: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        from corpus_stats.tokens.tokenizer import encoder, load_tokenizer

        subject = self.subject
        self.tokenizer = load_tokenizer(subject.source, subject.revision)
        self._folder = tempfile.TemporaryDirectory(dir=subject.scratch)
        folders = (Path(self._folder.name) / str(index) for index in range(len(subject.documents)))
        encode = encoder(self.tokenizer)
        self.documents = [placed(d, encode, folder) for d, folder in zip(subject.documents, folders, strict=False)]
        self._refuse_short()
        self.ranges = [piece for index in range(len(self.documents)) for piece in self._ranges(index)]

    @property
    def count(self) -> int:
        """Number of shards; at least one, so that an empty table is a table."""
        return max(1, len(self.ranges))

    def compute(self, shard: int) -> Frames:
        """Rows of `scan_positions` of one range of starts."""
        from probes.errors import ProbeError
        from probes.scan import scan_range

        if not self.ranges:
            return {"scan_positions": no_scan_rows("scan_positions")}
        index, first, stop = self.ranges[shard]
        try:
            frame = scan_range(self.models(index), self.documents[index].ids, first, stop, self.subject.plan)
        except ProbeError as error:
            raise RequestError(f"{self.name(index)} cannot be scanned: {error}") from error
        return {"scan_positions": self._placed(index, frame)}

    @property
    def scratch(self) -> str:
        """Folder that goes away with the work."""
        return str(self._folder.name)

    def name(self, index: int) -> str:
        """Name of a document."""
        return self.subject.documents[index].name

    def models(self, index: int) -> ScanModels:
        """Models and margin bound for one document."""
        return _calibrated(self, index)

    def load(self, **options: Any) -> Any:
        """The checkpoint as a model, loaded once for each precision."""
        return _model(self.subject, options.get("dtype", self.subject.dtype))

    def _placed(self, index: int, frame: pl.DataFrame) -> pl.DataFrame:
        """Rows with name, checkpoint, line and character."""
        document, at = self.documents[index], frame["position"].to_numpy()
        return frame.with_columns(
            document=pl.lit(self.name(index)),
            checkpoint_id=pl.lit(self.subject.checkpoint_id),
            line=pl.Series(np.asarray(document.lines)[at], dtype=pl.Int32),
            first_character=pl.Series(np.asarray(document.ends)[at - 1], dtype=pl.Int64),
        )

    def _ranges(self, index: int) -> list[tuple[int, int, int]]:
        plan, count = self.subject.plan, len(self.documents[index])
        step = plan.row_starts * max(1, SHARD_STARTS // plan.row_starts)
        end = count - plan.continuation_length + 1
        return [(index, first, min(first + step, end)) for first in range(plan.prefix_length, end, step)]

    def _refuse_short(self) -> None:
        from probes.errors import ProbeError
        from probes.scan.plan import refuse_short

        for index, document in enumerate(self.documents):
            try:
                refuse_short(len(document), self.subject.plan, self.name(index))
            except ProbeError as error:
                raise RequestError(str(error)) from error


@functools.lru_cache(maxsize=2)
def _model(subject: ScanSubject, dtype: str) -> Any:
    from probes.checkpoints.load import load_model

    return load_model(subject.source, subject.revision, subject.device, dtype)


def _calibrated(work: ScanWork, index: int) -> ScanModels:
    """Models of a document, remembered with the work."""
    from probes.scan import ScanModels

    known = work.__dict__.setdefault("_models", {})
    if index not in known:
        model, ids = work.load(), work.documents[index].ids
        exact = functools.partial(work.load, dtype="float32")
        known[index] = ScanModels.calibrated(model, exact, ids, work.subject.plan)
    return known[index]


def no_scan_rows(table: str) -> pl.DataFrame:
    """An empty frame of a scan's table, without the id that the record adds."""
    from warehouse.registry import TABLES

    frame = pl.from_arrow(TABLES[table].arrow_schema.empty_table())
    assert isinstance(frame, pl.DataFrame)
    return frame.drop("scan_id")
