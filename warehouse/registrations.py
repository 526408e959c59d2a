"""Registrations: small JSON files that say where a corpus or a checkpoint comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from warehouse.errors import RefusedError, WarehouseError
from warehouse.files import disk_error, write_json
from warehouse.home import Home, check_name

Kind = Literal["corpora", "checkpoints"]


def register(home: Home, kind: Kind, name: str, facts: dict[str, Any]) -> None:
    """Record or replace a registration."""
    write_json(home.sources(kind) / f"{check_name(name, kind)}.json", facts)


def registered(home: Home, kind: Kind) -> dict[str, dict[str, Any]]:
    """All registrations by name, sorted."""
    files = sorted(home.sources(kind).glob("*.json"))
    return {file.stem: _facts(file) for file in files}


def _facts(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as error:
        raise WarehouseError(
            f"the registration {file} is damaged ({error}); remove the file and add it again."
        ) from error


def registration(home: Home, kind: Kind, name: str) -> dict[str, Any]:
    """One registration.

    Raises:
        RefusedError: there is none of that name.
    """
    known = registered(home, kind)
    if name not in known:
        shown = ", ".join(known) or "none yet"
        raise RefusedError(
            f"{name!r} is not among the registered {kind} ({shown}); add it with `rarecall {_verb(kind)} add`."
        )
    return known[name]


def unregister(home: Home, kind: Kind, name: str) -> None:
    """Forget a registration; its results stay.

    Raises:
        RefusedError: there is none of that name.
        WarehouseError: the disk refused.
    """
    registration(home, kind, name)
    file = home.sources(kind) / f"{name}.json"
    try:
        file.unlink()
    except OSError as error:
        raise disk_error(file, error) from error


def _verb(kind: Kind) -> str:
    return {"corpora": "corpus", "checkpoints": "checkpoints"}[kind]
