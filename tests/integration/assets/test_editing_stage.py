"""Editing as a user meets it: a stage that resumes, a command, a saved checkpoint that is measured like any other."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from assets.editing.command import EditRequest, edit_checkpoint
from assets.framework.errors import RequestError
from assets.framework.stage import Scope
from probes.claims.editing import editing_claims
from probes.errors import ProbeError
from tests.support import REPOSITORY
from tests.support.editing_home import build, edit, execute, write_profile
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import query
from warehouse.errors import RefusedError
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registrations import registered

TABLES = ("edits", "edit_scores", "edit_robustness", "edit_noise", "edit_plans", "edit_summaries")


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return write_profile(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def unedited(profile, tmp_path_factory):
    """Scope of the last checkpoint of a home in which nothing has been edited yet."""
    return build(Home(tmp_path_factory.mktemp("unedited") / "home").prepare(), profile)


@pytest.fixture(scope="module")
def scope(unedited, profile, tmp_path_factory):
    """The same in a copy in which the editing stage has run for the first and the last checkpoint."""
    home = Home(tmp_path_factory.mktemp("edited") / "home")
    shutil.copytree(unedited.home.root, home.root)
    for name in sorted(registered(home, "checkpoints")):
        edit(home, profile, name)
    return Scope(home, unedited.profile, unedited.checkpoint_id)


def weights_hash(scope: Scope) -> str:
    folder = Path(registered(scope.home, "checkpoints")[str(scope.checkpoint_id)]["source"])
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def targets(scope: Scope) -> list[str]:
    rows = scope.read("edit_scores").filter((pl.col("evaluation_set") == "targets") & (pl.col("protocol") == "single"))
    return sorted(rows["paragraph_id"].unique())


def content(home: Home, checkpoint: str) -> dict[str, str]:
    manifests = {name: TableStore.of(home, name).manifest(checkpoint) for name in TABLES}
    return {name: manifest.content_sha256 for name, manifest in manifests.items() if manifest is not None}


def test_the_checkpoints_before_the_last_say_why_nothing_was_edited(scope):
    first = Scope(scope.home, scope.profile, min(registered(scope.home, "checkpoints")))
    plan = first.read("edit_plans").row(0, named=True)
    assert plan["target_count"] == 0 and "not the last checkpoint" in plan["reason"]
    assert first.read("edits").is_empty() and first.read("edit_noise").is_empty()
    assert scope.read("edit_plans").select("target_count", "reason").row(0) == (3, None)


def test_every_run_stands_beside_random_and_all_weights(scope):
    rows = scope.read("edits").filter((pl.col("evaluation_set") == "targets") & (pl.col("step") == 3))
    single = rows.filter(protocol="single", objective="unlearn")
    assert sorted(single["selection"]) == sorted(["all", "top:0.05", "random:0.05"] * 3)
    assert set(rows["protocol"]) == {"single", "held_out"} and (rows["exact_match_before"] == 50).all()
    assert "held_out_targets" in set(scope.read("edits")["evaluation_set"])
    counts = dict(single.select("selection", "weight_count").unique().iter_rows())
    assert counts["top:0.05"] == counts["random:0.05"] < counts["all"]
    claims = editing_claims(scope.read("edit_summaries"))
    assert claims.height == 20 and claims["ours"].null_count() <= 12


def test_nobody_has_two_roles(scope):
    scores = scope.read("edit_scores").filter(protocol="single")
    for (_, _, target), rows in scores.group_by("objective", "selection", "target"):
        clusters = rows.group_by("near_duplicate_cluster").agg(pl.col("evaluation_set").n_unique())
        assert clusters["evaluation_set"].max() == 1, target


def test_a_killed_editing_stage_resumes_to_the_same_rows(unedited, scope, profile, tmp_path):
    home, name = Home(tmp_path / "home"), str(scope.checkpoint_id)
    shutil.copytree(unedited.home.root, home.root)
    asked = [sys.executable, "-m", "tests.support.editing_home", str(home.root), str(profile), name]
    running = subprocess.Popen(asked, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})
    folder, end = home.tables / "edits" / f"checkpoint={name}", time.monotonic() + 200
    try:
        while running.poll() is None and not any(folder.glob(".staging-*/part-00002-*")):
            assert time.monotonic() < end
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        assert running.wait(60) == -signal.SIGKILL, "the stage had ended before it was killed"
    finally:
        running.kill()
        running.wait()
    kept = {file.name for file in folder.glob(".staging-*/part-0000[0-1]-*")}
    assert kept and not content(home, name)
    edit(home, profile, name)
    assert content(home, name) == content(scope.home, name) and len(content(home, name)) == len(TABLES)
    assert kept <= {file.name for file in folder.glob("part-*")}


def test_an_edited_checkpoint_goes_through_the_flow_like_any_other(scope, profile):
    before, target = weights_hash(scope), targets(scope)[0]
    request = EditRequest((target[:16],), selection="top:0.05", save="forgot")
    card = edit_checkpoint(scope, request)
    assert {"targets", "other_memorized", "controls", "unrelated"} <= set(card["evaluation_set"])
    assert weights_hash(scope) == before
    execute(scope.home, profile, "checkpoint", "forgot")
    publish_catalog(scope.home)
    joined = query(scope.home, "SELECT * FROM edited_checkpoint_before_after WHERE checkpoint_id = 'forgot'")
    assert joined.height == scope.read("paragraphs").height
    row = joined.filter(pl.col("is_target")).row(0, named=True)
    assert row["paragraph_id"] == target and row["parent_checkpoint_id"] == scope.checkpoint_id
    after = card.filter(evaluation_set="targets")
    assert row["exact_match_before"] == 50 and row["exact_match"] == after["exact_match"].item()
    assert row["continuation_nll_nats"] == pytest.approx(after["nll_nats"].item(), rel=1e-4)
    assert row["continuation_nll_nats"] > row["continuation_nll_before_nats"]
    with pytest.raises(RequestError, match="already"):
        edit_checkpoint(scope, request)


def bad_requests(scope: Scope) -> dict[str, EditRequest]:
    one = targets(scope)[0]
    never = scope.read("scores").filter(pl.col("exact_match") < 5)["paragraph_id"].sort()[0]
    return {
        "no target paragraph": EditRequest(),
        "is not memorized": EditRequest((never,)),
        "near-duplicate cluster": EditRequest((one,), control_ids=(one,)),
        "0 paragraphs": EditRequest(("nobody",)),
        "is unknown": EditRequest((one,), selection="some"),
        "does not exist": EditRequest((one,), selection="head:9.9"),
        "learning rate": EditRequest((one,), learning_rate=-1.0),
        "at least one": EditRequest((one,), steps=0),
        "diverged": EditRequest((one,), learning_rate=1e30, selection="all", save="broken"),
        "cannot be used as a name": EditRequest((one,), save="../elsewhere"),
    }


def test_bad_requests_are_one_sentence_and_touch_nothing(scope):
    before, known = weights_hash(scope), set(registered(scope.home, "checkpoints"))
    for sentence, request in bad_requests(scope).items():
        with pytest.raises((RequestError, ProbeError, RefusedError), match=sentence) as caught:
            edit_checkpoint(scope, request)
        assert str(caught.value).endswith("."), sentence
    assert weights_hash(scope) == before and set(registered(scope.home, "checkpoints")) == known
    assert not (scope.home.edited_folder / "broken").exists()
