"""The home folder: where everything rarecall writes lies, and how names become folders."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from warehouse.errors import RefusedError, WarehouseError
from warehouse.files import write_json

_MISREAD = re.compile("[][*?\\\\%\x00-\x1f\x7f\ud800-\udfff]")
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
        """`$RARECALL_HOME`, else `warehouse/data` of the checkout, else the user's data folder where it is installed.

        Raises:
            RefusedError: the path cannot be used, or the program belongs to another checkout than the one it lies in.
        """
        named = os.environ.get("RARECALL_HOME")
        return cls(_usable((Path(named).expanduser() if named else default_root()).resolve()))

    @property
    def database(self) -> Path:
        """The published catalog."""
        return self.root / "rarecall.duckdb"

    @property
    def layout(self) -> Path:
        """The version of this layout, see `warehouse.home`."""
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

    @property
    def merged_folder(self) -> Path:
        """Where `rarecall checkpoints add` puts adapters merged into their base model; not watched either."""
        return self.root / "merged"

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

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            _write_probe(self.root)
        except OSError as error:
            raise WarehouseError(
                f"the home folder {self.root} cannot be written ({error.strerror}); "
                "make it writable or set RARECALL_HOME to another folder."
            ) from error
        check_layout(self)
        return self


def can_be_written(home: Home) -> bool:
    """Whether a file can be made in the home; tried, since permissions do not tell of read-only disks."""
    try:
        _write_probe(home.root)
    except OSError:
        return False
    return True


def _write_probe(folder: Path) -> None:
    probe = folder / f".writable-{os.getpid()}"
    probe.write_text("")
    probe.unlink()


def default_root() -> Path:
    """Where results go unless something else is said: never into a folder of installed packages, which come and go.

    Raises:
        RefusedError: a checkout was copied with its environment, whose program still runs the code of the original.
    """
    checkout = Path(__file__).resolve().parents[1]
    program = Path(sys.argv[0])
    around = program.resolve().parents[2] if len(program.resolve().parents) > 2 else checkout
    if program.name == "rarecall" and (around / "warehouse" / "home.py").is_file() and around != checkout:
        raise RefusedError(
            f"{program} runs the code of {checkout}, not of {around}, because it was copied; remove {around}/.venv and "
            "run `make run` there, or set RARECALL_HOME."
        )
    if (checkout / "pyproject.toml").is_file():
        return checkout / "warehouse" / "data"
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "rarecall"


def _usable(root: Path) -> Path:
    """The path, unless DuckDB would take it for a pattern, or Dagster's addresses of databases would end in it."""
    bad = sorted(set(_MISREAD.findall(str(root))))
    if bad:
        raise RefusedError(
            f"the home folder {str(root)!r} has {' '.join(map(repr, bad))} in its path, which other programs take for "
            "something else; set RARECALL_HOME to another folder."
        )
    return root


LAYOUT = 1


MIGRATIONS: dict[int, Callable[[Home], None]] = {}


"""From a version to the next; each may be interrupted and run again."""


def check_layout(home: Home) -> None:
    """Bring a home to today's layout.

    Raises:
        WarehouseError: it was written by a newer rarecall, or its version cannot be read; nothing was touched.
    """
    version = _version(home)
    if version > LAYOUT:
        raise WarehouseError(
            f"the home {home.root} has layout {version} of a newer rarecall, this one knows {LAYOUT}; install that "
            "one, or set RARECALL_HOME to another folder."
        )
    for step in range(version, LAYOUT):
        MIGRATIONS[step](home)
        write_json(home.layout, {"layout": step + 1})
    if not home.layout.exists():
        write_json(home.layout, {"layout": LAYOUT})


def _version(home: Home) -> int:
    """Homes from before layouts had a version are of the first."""
    try:
        return int(json.loads(home.layout.read_text(encoding="utf-8"))["layout"])
    except FileNotFoundError:
        return 1
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WarehouseError(
            f'{home.layout} cannot be read as a layout; write {{"layout": {LAYOUT}}} into it if this '
            "home was made by this rarecall."
        ) from error
