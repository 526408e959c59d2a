"""The rooms and their directions (docs/architecture.md): who may import whom, where SQL lives, how long files get."""

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest

from tests.support import REPOSITORY
from tests.support.layout import ROOMS, entries, imported, module_name, private_names, sources

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
LARGEST_FOLDER = 13
MORE_ENTRIES = {
    "corpus_stats/readers": 14,  # nine kinds of sources and what they share: files, contents, compression, slices
    "orchestration/cli": 16,  # one module for each group of commands
    "tests/support": 15,  # one helper for each world
    "probes": 17,  # one package for each kind of measurement, with the training they all build on
    "assets": 14,  # one package for each topic, with the list of all stages
}
QUESTION_WORDS = {"What", "Who", "Which", "Where", "When", "Why", "How", "Whether"}


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

    files = sorted((REPOSITORY / "sql").rglob("*.sql"))
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
    asked = subprocess.run([sys.executable, "-c", text], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert asked.stdout.strip() == "set()"


def test_no_modules_import_each_other_in_a_circle():
    modules = {module_name(path): path for room in ROOMS for path in sources(room)}
    graph = {name: imported(path, set(modules)) for name, path in modules.items()}
    assert sum(len(found) for found in graph.values()) > 500
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"these import each other: {' <- '.join(error.args[1])}")


def test_folders_can_be_taken_in_at_a_glance():
    """Folders of modules; the SQL folders hold one query per file and are looked up by name."""
    folders = {path.parent for room in (*ROOMS, "tests") for path in sources(room)}
    crowded = {
        name: found
        for name, found in ((str(f.relative_to(REPOSITORY)), entries(f)) for f in folders)
        if len(found) > MORE_ENTRIES.get(name, LARGEST_FOLDER)
    }
    assert crowded == {}


SAME_MEANING = {
    "a stage, and the function it calls": {
        *("activation_gradients", "exposures", "gradient_cosines", "harness_utility", "head_rarity"),
        "parameter_gradients",
    },
    "a command, and what it does; verbs of several commands": {
        *("add", "main", "query", "remove", "report", "scan", "show")
    },
    "a preview in the UI, and the figure of the report": {"em_drop_by_position", "gradient_by_layer"},
    "a page as HTML": {"render"},
}  # fmt: skip
"""Names that several modules define because they mean one thing there."""


def test_a_public_function_of_one_name_means_one_thing():
    where: dict[str, list[str]] = {}
    for room in ROOMS:
        for path in sources(room):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                    where.setdefault(node.name, []).append(str(path))
    allowed = set().union(*SAME_MEANING.values())
    assert {name: paths for name, paths in where.items() if len(paths) > 1 and name not in allowed} == {}


def test_a_public_class_has_a_name_of_its_own():
    homes = defaultdict(list)
    for path in (path for room in ROOMS for path in sources(room)):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module_name(path))
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_modules_open_by_saying_what_is_inside(room):
    for path in sources(room):
        said = ast.get_docstring(ast.parse(path.read_text()))
        assert said, path
        assert said.split()[0] not in QUESTION_WORDS, f"{path} opens with {said.split()[0]!r}"


def test_tests_use_what_is_public_and_leave_the_path_alone():
    for path in sources("tests"):
        tree = ast.parse(path.read_text())
        assert private_names(tree) == [], path
        calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        assert not {"sys.path.insert", "sys.path.append"} & set(calls), path


def test_tests_mirror_the_rooms():
    """tests/<kind>/<room>/ with names of their own, since a test is asked for by its file name."""
    rooms = {*ROOMS, "docs"}
    names: Counter[str] = Counter()
    for kind in ("unit", "integration", "validity", "acceptance"):
        for path in sources(f"tests/{kind}"):
            names[path.name] += path.name != "conftest.py"
            where = path.relative_to(REPOSITORY / "tests" / kind).parts[:-1]
            whole = path.name in ("test_layout.py", "test_security.py", "conftest.py")  # about all rooms at once
            assert not where if whole else where[0] in rooms, path
    assert [name for name, times in names.items() if times > 1] == []
