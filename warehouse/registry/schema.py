"""Schema of a table: columns with type, unit and meaning, a grain, a partition key and a version."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

Partition = Literal["corpus", "checkpoint", "scan"]

_ARROW: dict[str, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
}


def arrow_type(duckdb_type: str) -> pa.DataType:
    """Arrow type of a DuckDB type name; `T[]` is a list of T.

    Raises:
        KeyError: the registry uses a type that is not mapped here.
    """
    if duckdb_type.endswith("[]"):
        return pa.list_(arrow_type(duckdb_type[:-2]))
    return _ARROW[duckdb_type]


@dataclass(frozen=True)
class Column:
    """One column: DuckDB type, what it means, its unit, whether it belongs to the key and whether it may be null.

    A column that may hold a path of the home is marked (`is_path`), so that a moved home can be corrected.
    """

    name: str
    type: str
    description: str
    unit: str = ""
    key: bool = False
    nullable: bool = False
    is_path: bool = False

    @property
    def comment(self) -> str:
        """The sentence shown in DuckDB, in the Dagster UI and in the docs."""
        return f"{self.description} [{self.unit}]" if self.unit else self.description


@dataclass(frozen=True)
class Table:
    """One table of the record. `version` is bumped when the meaning of its numbers changes; old parts then expire."""

    name: str
    partition: Partition
    grain: str
    description: str
    columns: tuple[Column, ...]
    version: int = 1

    @cached_property
    def arrow_schema(self) -> pa.Schema:
        """Parquet schema; nullability included, so that a forgotten value fails when a part is written."""
        return pa.schema([pa.field(c.name, arrow_type(c.type), nullable=c.nullable) for c in self.columns])

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the columns that identify a row."""
        return tuple(c.name for c in self.columns if c.key)

    @property
    def paths(self) -> tuple[str, ...]:
        """Names of the columns that may hold a path of the home."""
        return tuple(c.name for c in self.columns if c.is_path)


def with_interval(name: str, suffix: str, description: str, unit: str = "share") -> tuple[Column, ...]:
    """An estimate that may be missing, `<name><suffix>`, and its 95 % interval, `<name>_lower` and `<name>_upper`."""
    texts = {suffix: description, "_lower": "Lower end of its 95 % interval.", "_upper": "Upper end of the same."}
    return tuple(Column(name + end, "DOUBLE", text, unit, nullable=True) for end, text in texts.items())


CORPUS_ID = Column("corpus_id", "VARCHAR", "Corpus the row belongs to.", key=True)
CHECKPOINT_ID = Column("checkpoint_id", "VARCHAR", "Checkpoint the row was measured on.", key=True)
PARAGRAPH_ID = Column("paragraph_id", "VARCHAR", "Content hash of the paragraph's token ids.", key=True)
LAYER = Column("layer", "INTEGER", "Layer, 0-based.", key=True)
HEAD = Column("head", "INTEGER", "Head within the layer, 0-based.", key=True)
BOOTSTRAP_INTERVAL = (
    Column("lower", "DOUBLE", "Lower end of the 95 % cluster-bootstrap interval.", nullable=True),
    Column("upper", "DOUBLE", "Upper end of the 95 % cluster-bootstrap interval.", nullable=True),
)
IS_COLLAPSED = Column(
    "is_collapsed",
    "BOOLEAN",
    "Whether the model predicts held-out text no better than its commonest token would; no verdict rests on it.",
    nullable=True,
)
