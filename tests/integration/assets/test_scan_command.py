"""`rarecall scan` as typed: what it finds and records, that it goes on where it was, what it refuses, its exit code."""

from __future__ import annotations

import io
import shutil
import sys

import polars as pl
import pytest
from typer.testing import CliRunner

from assets.framework.errors import RequestError
from assets.scan import work as scan_work
from assets.scan.command import TABLES, ScanRequest, scan
from orchestration.cli.main import app
from orchestration.run.failures import exit_code, sentence_of
from probes.scan import ScanPlan
from probes.workers import EngineSettings
from tests.support.scan_home import OPTIONS, ScanHome, scan_home
from warehouse.catalog.queries import query
from warehouse.garbage import find_garbage
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registrations import unregister

PLAN = ScanPlan(16, 16, least_match=8, row_starts=30)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> ScanHome:
    return scan_home(tmp_path_factory.mktemp("scan"))


@pytest.fixture
def here(made, tmp_path, monkeypatch) -> ScanHome:
    """A copy of the home to write into."""
    shutil.copytree(made.home.root, tmp_path / "home")
    monkeypatch.setenv("RARECALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    return ScanHome(Home(tmp_path / "home"), made.file, made.text, made.known)


def typed(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(*words: object) -> str:
    result = typed(*words)
    assert result.exception is not None and exit_code(result.exception) == 2, result.output
    return sentence_of(result.exception)


def request(here: ScanHome, **changes) -> ScanRequest:
    return ScanRequest(**({"source": str(here.file), "checkpoint_ids": ("reciting",), "plan": PLAN} | changes))


def shard_computations(monkeypatch, most: int | None = None) -> list[int]:
    """Shards that are computed from now on; an interruption after `most` of them."""
    done, compute = [], scan_work.ScanWork.compute

    def counted(self, shard):
        if most is not None and len(done) == most:
            raise KeyboardInterrupt
        done.append(shard)
        return compute(self, shard)

    monkeypatch.setattr(scan_work.ScanWork, "compute", counted)
    monkeypatch.setattr(scan_work, "SHARD_STARTS", 300)
    return done


def test_the_planted_passage_is_found_with_its_place_in_the_file(here):
    result = typed("scan", here.file, "--checkpoint", "reciting", *OPTIONS)
    assert result.exit_code == 0, result.exception
    (row,) = query(here.home, "from scan_passages where checkpoint_id = 'reciting'").to_dicts()
    begin, count = row["first_character"], row["character_count"]
    assert here.text[begin : begin + count] == row["passage_text"] and row["passage_text"].strip() == here.known.strip()
    assert row["first_line"] == here.text[: here.text.index(here.known.strip())].count("\n") + 1
    assert row["last_line"] == row["first_line"] + here.known.strip().count("\n")
    assert row["free_run_count"] >= 30 and row["memorized_start_count"] > 0 and row["guessable"] is None
    assert row["samples_needed"] < 3 and row["occurrence_count"] is None
    facts = query(here.home, "from scans").row(0, named=True)
    assert facts["longest_passage_count"] == row["token_count"] and facts["recall"] == 1.0
    reach = {(r["reach_text"], r["match"]): r["share"] for r in query(here.home, "from scan_reach").to_dicts()}
    assert reach["document", 16] > 0.03 and reach["null", 16] < 0.02
    assert f"textwrap.txt:{row['first_line']}" in result.output and "recited in 1 passage," in result.output


def test_positions_say_where_each_start_stands_in_the_text(here):
    (one,) = scan(here.home, request(here))
    rows = one.rows(here.home, "scan_positions")
    assert rows["position"].to_list() == list(range(16, rows.height + 16))
    for line, character in rows.select("line", "first_character").iter_rows():
        assert line == here.text[:character].count("\n") + 1


def test_a_second_scan_does_nothing_and_an_interrupted_one_goes_on(here, monkeypatch):
    done = shard_computations(monkeypatch, most=2)
    with pytest.raises(KeyboardInterrupt):
        scan(here.home, request(here))
    monkeypatch.undo()
    again = shard_computations(monkeypatch)
    (first,) = scan(here.home, request(here))
    assert done == [0, 1] and again[0] == 2 and len(again) >= 2 and first.is_new
    again.clear()
    (second,) = scan(here.home, request(here))
    assert again == [] and not second.is_new and second.scan_id == first.scan_id
    (with_triggers,) = scan(here.home, request(here, triggers=True))
    assert again == [] and with_triggers.is_new, "positions are kept, only the triggers are new"
    triggers = with_triggers.rows(here.home, "scan_triggers")
    assert set(triggers["prefix_position"]) == set(range(1, 16)) and triggers["em_drop"].max() > 3
    assert not list(here.home.root.glob(".scan-*"))


def test_every_way_and_two_workers_find_the_same(here):
    found = {}
    for method in ("anchored", "screened", "exact"):
        (one,) = scan(here.home, request(here, plan=ScanPlan(16, 16, method=method, least_match=8, row_starts=30)))
        found[method] = one.rows(here.home, "scan_passages").select("first_position", "token_count").rows()
    assert found["anchored"] == found["screened"] == found["exact"]
    shutil.copytree(here.home.root, here.home.root.parent / "other")
    other = Home(here.home.root.parent / "other")
    for table in TABLES:
        shutil.rmtree(other.tables / table)
    scan(here.home, request(here))
    scan(other, request(here, engine=EngineSettings(workers=2, threads_per_worker=1)))
    names = {h: TableStore.of(h, "scan_positions").partitions() for h in (here.home, other)}
    (partition,) = names[other]
    both = [TableStore.of(h, "scan_positions").manifest(partition) for h in (here.home, other)]
    assert both[0].content_sha256 == both[1].content_sha256


def test_two_checkpoints_are_compared_and_a_folder_is_ranked(here, tmp_path):
    both = typed("scan", here.file, "--checkpoint", "blank", "--checkpoint", "reciting", *OPTIONS)
    assert both.exit_code == 0 and "only_after_characters" in both.output and "blank: none of" in both.output
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "b.txt").write_text(here.text)
    (folder / "a.txt").write_text(here.text.replace(here.known, "")[:1500])
    (folder / "image.png").write_bytes(b"\x89PNG\0\0")
    (folder / "short.txt").write_text("too short")
    ranked = typed("scan", folder, "--checkpoint", "reciting", *OPTIONS)
    rows = [line.split()[0] for line in ranked.stdout.splitlines() if line.startswith(("a.txt", "b.txt"))]
    assert ranked.exit_code == 0 and rows == ["b.txt", "a.txt"]
    assert "Left out: image.png is not text" in ranked.output and "Left out: short.txt has" in ranked.output


def test_standard_input_is_scanned(here, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(here.text.encode()), encoding="utf-8"))
    (one,) = scan(here.home, request(here, source="-"))
    assert one.document == "standard input" and one.rows(here.home, "scan_passages").height == 1


def test_a_gate_lets_short_passages_through(here):
    words = ("scan", here.file, "--checkpoint", "reciting", *OPTIONS, "--fail-over")
    result = typed(*words, 30)
    assert result.exit_code == 1 and "recites a passage of" in result.output
    assert typed(*words, 500).exit_code == 0


def test_what_cannot_be_scanned_is_refused_in_a_sentence(here, tmp_path):
    binary, empty, blank, latin, short = (tmp_path / name for name in ("b.bin", "e.txt", "w.txt", "l.txt", "s.txt"))
    binary.write_bytes(bytes(range(256)))
    empty.touch()
    blank.write_text("  \n\n ")
    latin.write_bytes("Straße und Bäume. ".encode("latin-1") * 50)
    short.write_text("Only a few words.")
    asked = ("--checkpoint", "reciting")
    assert "b.bin is not text (it holds zero bytes)" in refused("scan", binary, *asked)
    assert "e.txt is empty" in refused("scan", empty, *asked)
    assert "w.txt: there is no text but white space" in refused("scan", blank, *asked)
    assert "l.txt is not utf-8 (near byte 4)" in refused("scan", latin, *asked, *OPTIONS)
    assert "s.txt has" in refused("scan", short, *asked) and "a window needs 100" in refused("scan", short, *asked)
    assert "no file or folder" in refused("scan", tmp_path / "none.txt", *asked)
    assert "'nobody' is not among the registered checkpoints" in refused("scan", here.file, "--checkpoint", "nobody")
    assert "there is no way 'quick' to scan" in refused("scan", here.file, *asked, "--method", "quick")
    assert "its context is 64" in refused("scan", here.file, *asked)
    assert typed("scan", latin, *asked, *OPTIONS, "--encoding", "latin-1").exit_code == 0
    with pytest.raises(RequestError, match="no file nothing to measure the null on"):
        scan(here.home, request(here, null="nothing"))


def test_the_null_may_be_another_text(here, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(here.text[1500:] * 2)
    (one,) = scan(here.home, request(here, null=str(other)))
    assert one.rows(here.home, "scans")["null_text"][0] == "other.txt"
    assert one.rows(here.home, "scan_reach").filter(reach_text="null")["start_count"].min() > 20


def test_scans_of_a_forgotten_checkpoint_are_garbage(here):
    scan(here.home, request(here))
    assert not [found for found in find_garbage(here.home) if "scan by" in found.why]
    unregister(here.home, "checkpoints", "reciting")
    assert len([found for found in find_garbage(here.home) if "scan by" in found.why]) == len(TABLES)


def test_an_untrained_model_recites_nothing(here):
    (one,) = scan(here.home, request(here, checkpoint_ids=("blank",)))
    facts = one.rows(here.home, "scans").row(0, named=True)
    assert facts["passage_count"] == facts["recited_token_count"] == facts["longest_passage_count"] == 0
    assert facts["recall"] is None and one.rows(here.home, "scan_passages").is_empty()
    assert one.rows(here.home, "scan_reach").filter(pl.col("share") > 0).is_empty()
