"""The source files of the project as its layout tests see them: modules, who imports whom, what a folder holds."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support import REPOSITORY

ROOMS = ("orchestration", "assets", "corpus_stats", "probes", "warehouse", "sql")
DATA = REPOSITORY / "warehouse" / "data"


def sources(folder: str) -> list[Path]:
    """Python files below a folder of the checkout, without the user's homes."""
    return [path for path in sorted((REPOSITORY / folder).rglob("*.py")) if not path.is_relative_to(DATA)]


def module_name(path: Path) -> str:
    """The dotted name a file is imported by."""
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def at_run_time(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below one, without what only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield other
                yield from at_run_time(other)
            continue
        yield child
        yield from at_run_time(child)


def imported(path: Path, modules: set[str]) -> set[str]:
    """Which of these modules a file imports, at its top or inside a function."""
    found: set[str] = set()
    for node in at_run_time(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {node.module}
            found |= {node.module} if names - modules else set()
    return found & modules


def entries(folder: Path) -> list[str]:
    """What a reader sees in a folder, without the package marker and what Python leaves behind."""
    quiet = ("__init__.py", "__pycache__", "py.typed")
    return sorted(path.name for path in folder.iterdir() if path.name not in quiet)


def private_names(tree: ast.Module) -> list[str]:
    """Names with a leading underscore that a file takes out of a room: imported, read off a module, or replaced."""
    found, modules = [], set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ROOMS:
            found += [alias.name for alias in node.names if alias.name.startswith("_")]
            modules |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {a.asname or a.name for a in node.names if a.name.partition(".")[0] in ROOMS}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in modules and _is_private(node.attr):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("setattr"):
            found += [str(a.value) for a in node.args if isinstance(a, ast.Constant) and _is_private(str(a.value))]
    return found


def _is_private(name: str) -> bool:
    last = name.rpartition(".")[2]
    return last.startswith("_") and not last.startswith("__")
