"""Content hashes of local checkpoints, remembered beside file sizes and times so that looking twice costs nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from warehouse.files import digest, file_sha256, write_json
from warehouse.home import Home, check_name

PATTERNS = ("*.json", "*.safetensors", "*.txt", "*.model")
"""Files a measurement depends on; optimizer states beside them may change at will."""


def checkpoint_files(folder: Path) -> list[Path]:
    """Files a measurement depends on, by name."""
    return sorted(path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file())


def checkpoint_content(home: Home, checkpoint_id: str, folder: Path) -> str | None:
    """Hash over names and bytes of a checkpoint's files; of a folder that is gone the last one known, else None.

    Every byte is read once for every change of a size or a modification time.
    """
    record = home.sources("fingerprints") / f"{check_name(checkpoint_id, 'checkpoint')}.json"
    known = _remembered(record)
    if not folder.is_dir():
        return known.get("content") if known.get("folder") == str(folder) else None
    files = checkpoint_files(folder)
    stats = digest([(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files])
    if known.get("stats") == stats and known.get("folder") == str(folder):
        return str(known["content"])
    content = digest([(p.name, file_sha256(p)) for p in files])[:16]
    write_json(record, {"folder": str(folder), "stats": stats, "content": content})
    return content


def _remembered(record: Path) -> dict[str, Any]:
    """What was noted; a damaged note is as good as none."""
    try:
        noted = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) and isinstance(noted.get("content"), str) else {}
