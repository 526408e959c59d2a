"""The rooms and their directions (docs/architecture.md): who may import whom, where SQL lives, how long files get."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("orchestration", "assets", "corpus_stats", "probes", "warehouse", "sql")
MAY_IMPORT = {
    "orchestration": {"orchestration", "assets", "corpus_stats", "probes", "warehouse", "sql"},
    "assets": {"assets", "corpus_stats", "probes", "warehouse", "sql"},
    "corpus_stats": {"corpus_stats"},
    "probes": {"probes"},
    "warehouse": {"warehouse", "sql"},
    "sql": {"sql"},
}
FORBIDDEN = {
    "corpus_stats": {"dagster", "duckdb"},
    "probes": {"dagster", "duckdb"},
    "warehouse": {"dagster", "torch", "transformers"},
}
HEAVY = {"torch", "transformers", "datasketch", "matplotlib"}


def sources(room: str) -> list[Path]:
    return [path for path in sorted((ROOT / room).rglob("*.py")) if "data" not in path.relative_to(ROOT).parts]


def imports(nodes: list[ast.stmt]) -> set[str]:
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_import_only_in_the_allowed_direction(room):
    for path in sources(room):
        found = imports(list(ast.walk(ast.parse(path.read_text()))))  # type: ignore[arg-type]
        assert not (found & set(ROOMS)) - MAY_IMPORT[room], path
        assert not found & FORBIDDEN.get(room, set()), path


@pytest.mark.parametrize("room", ROOMS)
def test_heavy_libraries_are_imported_where_they_are_needed(room):
    for path in sources(room):
        assert not imports(ast.parse(path.read_text()).body) & HEAVY, f"{path} imports a heavy library at its top"


@pytest.mark.parametrize("room", ROOMS)
def test_files_stay_short(room):
    for path in sources(room):
        assert path.read_text().count("\n") <= 400, path


def test_every_folder_with_modules_is_a_package():
    """pyproject finds packages by itself; a folder without __init__.py would be missing from a wheel."""
    for room in ROOMS:
        for path in sources(room):
            assert (path.parent / "__init__.py").exists(), path.parent


def test_sql_files_hold_one_bare_commented_select():
    import duckdb

    files = sorted((ROOT / "sql").rglob("*.sql"))
    assert len(files) > 20
    for path in files:
        text = path.read_text()
        assert text.startswith("-- "), f"{path} does not say what a row is"
        statements = duckdb.extract_statements(text)
        assert [s.type.name for s in statements] == ["SELECT"], path
        assert not text.rstrip().endswith(";"), path


def test_python_holds_no_queries_outside_the_catalog():
    allowed = {"publish.py", "queries.py", "marts.py"}
    for room in ("orchestration", "assets", "corpus_stats", "probes"):
        for path in sources(room):
            if path.name not in allowed:
                assert not re.search(r"\bSELECT\b.*\bFROM\b", path.read_text()), path


def test_whether_there_is_work_is_known_without_dagster_and_torch():
    text = "import sys, orchestration.run.runner, orchestration.cli.main; print({*sys.modules} & {'dagster', 'torch'})"
    asked = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "set()"
