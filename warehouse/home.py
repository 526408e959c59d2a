"""The home folder: where everything rarecall writes lies, and how names become folders."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import RefusedError, WarehouseError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,119}")


def check_name(name: str, what: str) -> str:
    """Return `name` when it is safe as a folder name and partition key.

    Raises:
        RefusedError: it is empty, too long, or could leave its folder.
    """
    if not _NAME.fullmatch(name):
        raise RefusedError(
            f"{what} {name!r} cannot be used as a name; use letters, digits, '.', '_' and '-', "
            "starting with a letter or digit, at most 120 characters."
        )
    return name


@dataclass(frozen=True)
class Home:
    """Paths below one home folder. Nothing else in the project joins paths to it."""

    root: Path

    @classmethod
    def locate(cls) -> Home:
        """`$RARECALL_HOME`, else `warehouse/data` of the checkout."""
        named = os.environ.get("RARECALL_HOME")
        return cls(Path(named).expanduser().resolve() if named else Path(__file__).resolve().parent / "data")

    @property
    def database(self) -> Path:
        """The published catalog."""
        return self.root / "rarecall.duckdb"

    @property
    def layout(self) -> Path:
        """The version of this layout, see `warehouse.layout`."""
        return self.root / "home.json"

    @property
    def tables(self) -> Path:
        """The Parquet record."""
        return self.root / "tables"

    @property
    def report(self) -> Path:
        """The HTML report; its figures lie in `figures/` beside it."""
        return self.root / "report" / "index.html"

    @property
    def dagster(self) -> Path:
        """Home of the persistent Dagster instance."""
        return self.root / "dagster"

    @property
    def checkpoint_folder(self) -> Path:
        """Where training runs of rarecall put checkpoints, and the folder the sensor watches."""
        return self.root / "checkpoints"

    @property
    def edited_folder(self) -> Path:
        """Where `rarecall edit --save` puts checkpoints; not watched, they register themselves."""
        return self.root / "edited"

    def sources(self, kind: str) -> Path:
        """Registrations (small JSON files) of corpora or checkpoints."""
        return self.root / "sources" / kind

    def corpus_folder(self, corpus_id: str) -> Path:
        """Tokenizer and token shards of a corpus."""
        return self.root / "corpora" / check_name(corpus_id, "corpus")

    def partition_folder(self, table: str, kind: str, partition: str) -> Path:
        """Folder of one partition of a table."""
        return self.tables / table / f"{kind}={check_name(partition, kind)}"

    def prepare(self) -> Home:
        """Create the home, prove that it can be written, and bring its layout up to date.

        Raises:
            WarehouseError: it cannot be written, or a newer rarecall made it.
        """
        from warehouse.layout import check_layout

        probe = self.root / f".writable-{os.getpid()}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise WarehouseError(
                f"the home folder {self.root} cannot be written ({error.strerror}); "
                "make it writable or set RARECALL_HOME to another folder."
            ) from error
        check_layout(self)
        return self
