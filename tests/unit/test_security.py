"""What must not be possible, each tried: SQL that leaves the home, pickles, names with paths, secrets on disk."""

from __future__ import annotations

import ast
import pickle
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

from orchestration.secrets import without_secrets
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import connect, one_publication, query
from warehouse.errors import QueryError, WarehouseError
from warehouse.home import Home
from warehouse.record.parts import TableStore

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("orchestration", "assets", "corpus_stats", "probes", "warehouse", "sql")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("secure")
    home = Home(root / "home").prepare()
    writer = TableStore.of(home, "duplication_ladder").writer("c1", {"upstream": {}}, 1)
    writer.write(
        0,
        pl.DataFrame({"paragraph_id": ["a"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1}),
        corpus_id="c1",
    )
    writer.finish()
    pl.DataFrame({"secret": ["outside"]}).write_parquet(root / "outside.parquet")
    pl.DataFrame({"secret": ["inside, but not a table"]}).write_parquet(home.root / "mine.parquet")
    (home.root / "mine.txt").write_text("secret")
    publish_catalog(home)
    return home


LEAVING = {
    "parquet beside the home": "SELECT * FROM read_parquet('{home}/../outside.parquet')",
    "parquet by way of the tables": "SELECT * FROM read_parquet('{home}/tables/../../outside.parquet')",
    "parquet of the home that is no table": "SELECT * FROM read_parquet('{home}/mine.parquet')",
    "file name as a table": "SELECT * FROM '{home}/../outside.parquet'",
    "text": "SELECT * FROM read_text('{home}/mine.txt')",
    "text by way of the tables": "SELECT * FROM read_text('{home}/tables/../mine.txt')",
    "blob": "SELECT * FROM read_blob('/etc/passwd')",
    "csv": "SELECT * FROM read_csv('/etc/passwd', delim = ':')",
    "sniffing": "SELECT * FROM sniff_csv('/etc/passwd')",
    "json": "SELECT * FROM read_json_objects('/etc/passwd')",
    "listing": "SELECT * FROM glob('/etc/*')",
    "listing by way of the tables": "SELECT * FROM glob('{home}/tables/../../*')",
    "environment": "SELECT getenv('HOME')",
    "network": "SELECT * FROM read_csv('https://example.org/x.csv')",
    "attach": "ATTACH '{home}/../other.duckdb'",
    "detach": "DETACH rarecall",
    "use": "USE memory",
    "copy": "COPY (SELECT 1) TO '{home}/../stolen.csv'",
    "copy from": "COPY duplication_ladder FROM '/etc/passwd'",
    "export": "EXPORT DATABASE '{home}/../stolen'",
    "import": "IMPORT DATABASE '{home}'",
    "install": "INSTALL httpfs",
    "load": "LOAD '{home}/mine.txt'",
    "secret": "CREATE SECRET s (TYPE s3, KEY_ID 'k', SECRET 'x')",
    "set": "SET enable_external_access = true",
    "reset": "RESET lock_configuration",
    "pragma": "PRAGMA enable_profiling = 'json'",
    "call": "CALL pragma_database_size()",
    "create": "CREATE TABLE mine AS SELECT 1",
    "temporary": "CREATE TEMP TABLE mine AS SELECT 1",
    "insert": "INSERT INTO duplication_ladder SELECT * FROM duplication_ladder",
    "update": "UPDATE duplication_ladder SET copies_count = 0",
    "delete": "DELETE FROM claims",
    "drop": "DROP VIEW duplication_ladder",
    "vacuum": "VACUUM",
    "checkpoint": "FORCE CHECKPOINT",
    "prepare": "PREPARE p AS SELECT 1",
    "two": "SELECT 1; DROP VIEW duplication_ladder",
    "hidden in an explanation": "EXPLAIN ANALYZE COPY (SELECT 1) TO '{home}/../stolen.csv'",
    "hidden in a comment": "/* SELECT */ DROP VIEW duplication_ladder -- SELECT 1",
}


@pytest.mark.parametrize("name", LEAVING)
def test_queries_cannot_write_nor_leave_the_tables(home: Home, name: str) -> None:
    around = sorted(home.root.parent.rglob("*"))
    before = home.database.read_bytes()
    with pytest.raises(QueryError) as refused:
        query(home, LEAVING[name].format(home=home.root))
    assert "secret" not in str(refused.value).replace("create secret", "").lower() or name == "secret"
    assert home.database.read_bytes() == before and sorted(home.root.parent.rglob("*")) == around


def test_the_connection_itself_refuses_what_the_parser_let_pass(home: Home) -> None:
    """Were a statement ever taken for a reading one, nothing would follow."""
    with connect(home) as connection:
        for text in ("read", "set", "attach", "create", "copy"):
            asked = {
                "read": f"SELECT * FROM read_text('{home.root}/mine.txt')",
                "set": "SET enable_external_access = true",
                "attach": f"ATTACH '{home.root.parent}/other.duckdb'",
                "create": "CREATE TABLE mine AS SELECT 1",
                "copy": f"COPY (SELECT 1) TO '{home.root.parent}/stolen.csv'",
            }[text]
            with pytest.raises(duckdb.Error):
                connection.execute(asked)


def test_two_connections_at_once_are_both_locked_and_the_later_shows_what_was_published_since(home: Home) -> None:
    copied = Home(home.root.parent / "twice")
    shutil.copytree(home.root, copied.root)
    publish_catalog(copied)
    asked = "SELECT count(*) FROM duplication_ladder"
    with connect(copied) as first:
        writer = TableStore.of(copied, "duplication_ladder").writer("c2", {"upstream": {}}, 1)
        rows = {"paragraph_id": ["a", "b"], "duplication_group": "", "copies_count": 1, "complete_exposure_count": 1}
        writer.write(0, pl.DataFrame(rows), corpus_id="c2")
        writer.finish()
        publish_catalog(copied)
        with connect(copied) as second:
            assert (first.execute(asked).fetchone(), second.execute(asked).fetchone()) == ((1,), (3,))
            for connection in (first, second):
                with pytest.raises(duckdb.Error, match="configuration"):
                    connection.execute("SET enable_external_access = true")
                with pytest.raises(duckdb.Error, match="Permission"):
                    connection.execute(f"SELECT * FROM read_text('{copied.root}/mine.txt')")
                with pytest.raises(duckdb.Error, match="read-only"):
                    connection.execute("CREATE TABLE mine AS SELECT 1")


def test_questions_inside_a_block_see_one_publication_and_no_variables_of_each_other(home: Home) -> None:
    copied = Home(home.root.parent / "steady")
    shutil.copytree(home.root, copied.root)
    publish_catalog(copied)
    asked = "SELECT count(*) AS n, getvariable('checkpoint') AS c FROM duplication_ladder"
    with one_publication(copied):
        assert query(copied, asked, variables={"checkpoint": "mine"}).row(0) == (1, "mine")
        copied.database.unlink()
        with one_publication(copied):
            assert query(copied, asked).row(0) == (1, None)
        with pytest.raises(QueryError):
            query(copied, "DROP VIEW scores")
    with pytest.raises(QueryError, match="no published warehouse"):
        query(copied, asked)


def test_what_may_be_asked_still_can(home: Home) -> None:
    assert query(home, "SELECT copies_count FROM duplication_ladder")["copies_count"].to_list() == [1]
    for text in ("SUMMARIZE duplication_ladder", "DESCRIBE scores", "SHOW TABLES", "EXPLAIN SELECT 1"):
        assert query(home, text).height > 0


def test_two_columns_of_one_name_are_named(home: Home) -> None:
    with pytest.raises(QueryError, match=r"more than one column 'a'; give each a name"):
        query(home, "SELECT 1 AS a, 2 AS a")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.target,))


def test_a_checkpoint_that_is_a_pickle_is_refused_unread(tmp_path: Path) -> None:
    from probes.checkpoints.load import load_model
    from probes.errors import ProbeError

    (tmp_path / "config.json").write_text('{"model_type": "gpt_neo"}')
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Trap(tmp_path / "ran")))
    with pytest.raises(ProbeError, match="pickle"):
        load_model(str(tmp_path))
    with pytest.raises(ProbeError):
        load_model(str(tmp_path), allow_pickle=True)
    assert not (tmp_path / "ran").exists()


def test_no_code_loads_a_pickle_that_could_run_something() -> None:
    """torch.load with weights_only, numpy.load without allow_pickle, pickle.loads only between our own processes."""
    offences = []
    for path in [file for room in ROOMS for file in (ROOT / room).rglob("*.py") if "data" not in file.parts]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = getattr(node.func.value, "id", "")
            options = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
            bad = (
                (owner == "torch" and node.func.attr == "load" and options.get("weights_only") is not True)
                or (owner in ("np", "numpy") and node.func.attr == "load" and options.get("allow_pickle"))
                or (
                    owner in ("pickle", "joblib", "dill")
                    and node.func.attr in ("load", "loads")
                    and path.parent.name != "workers"
                )
            )
            if bad:
                offences.append(f"{path}:{node.lineno}")
    assert offences == []


@pytest.mark.parametrize("name", ["../escaped", "..", "a/../../b", "/absolute", "a\x00b", ".hidden", "a b", "a\nb"])
def test_names_cannot_leave_their_folders(tmp_path: Path, name: str) -> None:
    home = Home(tmp_path / "home").prepare()
    from warehouse.registrations import register

    for attempt in (
        lambda: home.corpus_folder(name),
        lambda: home.partition_folder("scores", "checkpoint", name),
        lambda: register(home, "checkpoints", name, {"source": "x"}),
        lambda: TableStore.of(home, "duplication_ladder").writer(name, {}, 1).write(0, pl.DataFrame()),
    ):
        with pytest.raises(WarehouseError):
            attempt()
    assert {path.name for path in tmp_path.rglob("*")} <= {"home", "home.json"}


def test_secrets_are_blanked_in_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "correct horse")
    said = without_secrets(
        "GET https://me:pass@host/x?token=tttt&a=1 with Bearer abcdefghij, hf_ABCDEFGHIJKL and correct horse failed"
    )
    assert said == "GET https://***@host/x?token=***&a=1 with Bearer ***, *** and *** failed"
    assert without_secrets("password: 'hunter2!' and hunter2!") == "password: '***' and hunter2!"
    assert without_secrets("step-1000 of EleutherAI/pythia-70m") == "step-1000 of EleutherAI/pythia-70m"


def test_overlapping_secrets_leave_one_mask() -> None:
    assert without_secrets("at https://x:sk-proj-abcDEF1234567890abcDEF@host/y") == "at https://***@host/y"
