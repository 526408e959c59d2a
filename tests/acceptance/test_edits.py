"""Editing as a user meets it: in the flow, killed and resumed, from the command line, saved and measured again."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import time
from pathlib import Path

import pytest
from acceptance_home import LIMIT_SECONDS, command, contents, environment, rarecall
from conftest import Finished

from assets.edit_request import EditRequest, edit_checkpoint
from assets.errors import RequestError
from assets.profile import load_profile
from assets.stage import Scope
from probes.errors import ProbeError
from warehouse.home import Home
from warehouse.queries import query
from warehouse.registrations import registered

EDITS = """
[edits]
selections = ["all", "top:0.05", "random:0.05"]
targets = 3
controls = 2
evaluated = 2
steps = 3
learning_rate = 2e-2
watched_steps = [1]
perturbed_prefixes = 1
relearning_limit = 2
noise_strengths = [0.0, 0.5]
"""
TABLES = ("edits", "edit_scores", "edit_robustness", "edit_noise", "edit_plans", "edit_summaries")


@pytest.fixture(scope="module")
def profile(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "edits.toml"
    path.write_text(finished.profile.read_text() + EDITS)
    return path


@pytest.fixture(scope="module")
def scope(finished: Finished, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Scope:
    """A copy of the finished home in which editing has been run as well; its last checkpoint."""
    from orchestration.runner import run_flow

    home = Home(finished.copy(tmp_path_factory.mktemp("edits") / "home"))
    outcome = run_flow(Scope(home, load_profile(str(profile))), str(profile))
    assert not outcome.failed, outcome.failed
    last = max(registered(home, "checkpoints"))
    return Scope(home, load_profile(str(profile)), last)


def edit_rows(home: Path) -> dict[tuple[str, str], list[tuple[int, str]]]:
    return {key: parts for key, parts in contents(home).items() if key[0] in TABLES}


def weights_hash(scope: Scope) -> str:
    folder = Path(registered(scope.home, "checkpoints")[str(scope.checkpoint_id)]["source"])
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def memorized(scope: Scope) -> list[str]:
    asked = "SELECT DISTINCT paragraph_id FROM edit_scores WHERE evaluation_set = 'targets' AND checkpoint_id = "
    return sorted(query(scope.home, f"{asked}'{scope.checkpoint_id}'")["paragraph_id"])


def test_only_the_last_checkpoint_is_edited_and_the_others_say_why(scope: Scope) -> None:
    rows = query(scope.home, "SELECT checkpoint_id, target_count, reason FROM edit_plans ORDER BY 1").rows()
    assert rows[0][1] == 0 and "not the last checkpoint" in rows[0][2]
    assert rows[-1] == (scope.checkpoint_id, 3, None)
    runs = query(scope.home, "SELECT DISTINCT checkpoint_id FROM edits")["checkpoint_id"].to_list()
    assert runs == [scope.checkpoint_id]


def test_every_run_stands_beside_random_and_all_weights(scope: Scope) -> None:
    runs = query(scope.home, "SELECT * FROM edit_before_after WHERE protocol = 'single' AND objective = 'unlearn'")
    assert sorted(runs["selection"].to_list()) == sorted(["all", "top:0.05", "random:0.05"] * 3)
    assert (runs["target_exact_match_before"] == 50).all()
    summary = query(
        scope.home,
        "SELECT * FROM edit_summaries WHERE protocol = 'single' AND selection = 'top:0.05' AND measure = 'exact_match'",
    )
    assert summary["random_estimate"].null_count() == summary["all_estimate"].null_count() == 0
    claims = query(scope.home, f"SELECT * FROM claims WHERE checkpoint_id = '{scope.checkpoint_id}'")
    ours = claims.filter(claims["paper"].str.contains("5.3"))
    assert ours.height == 14 and (ours["ours"].is_not_null()).sum() >= 8


def test_the_report_shows_forgetting(scope: Scope) -> None:
    html = scope.home.report.read_text()
    assert "What unlearning and editing do" in html and "Forgetting against retention" in html


def test_a_killed_editing_stage_resumes_to_the_same_rows(
    scope: Scope, finished: Finished, profile: Path, tmp_path: Path
) -> None:
    home = finished.copy(tmp_path / "home")
    running = subprocess.Popen(
        command("run", "-p", profile), env=environment(home), cwd=tmp_path, stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    pattern, end = f"edits/checkpoint={scope.checkpoint_id}/.staging-*/part-00002-*", time.monotonic() + LIMIT_SECONDS
    try:
        while running.poll() is None and not any((home / "tables").glob(pattern)):
            assert time.monotonic() < end
            time.sleep(0.02)
        running.send_signal(signal.SIGKILL)
        assert running.wait(60) == -signal.SIGKILL, "the run had ended before it was killed"
    finally:
        running.kill()
        running.wait()
    kept = {file.name for file in (home / "tables").glob(pattern)}
    assert kept and not any(table == "edits" and name == scope.checkpoint_id for table, name in contents(home))
    result = rarecall(home, "run", "-p", profile)
    assert result.returncode == 0, result.stderr
    assert edit_rows(home) == edit_rows(scope.home.root)
    assert kept <= {file.name for file in (home / "tables").glob(f"edits/checkpoint={scope.checkpoint_id}/part-*")}


def test_an_edited_checkpoint_goes_through_the_flow_like_any_other(scope: Scope, profile: Path) -> None:
    before, target = weights_hash(scope), memorized(scope)[0]
    words = ("edit", scope.checkpoint_id, "--paragraph", target[:16], "--selection", "top:0.05", "--save", "forgot")
    result = rarecall(scope.home.root, *words, "-p", profile)
    assert result.returncode == 0 and "targets" in result.stdout and "controls" in result.stdout, result.stderr
    assert weights_hash(scope) == before
    from orchestration.runner import run_flow

    outcome = run_flow(Scope(scope.home, scope.profile), str(profile), only="forgot")
    assert not outcome.failed, outcome.failed
    joined = query(scope.home, "SELECT * FROM edited_checkpoint_before_after WHERE checkpoint_id = 'forgot'")
    assert joined.height == query(scope.home, "SELECT count(*) AS n FROM paragraphs")["n"][0]
    row = joined.filter(joined["is_target"]).row(0, named=True)
    assert row["paragraph_id"] == target and row["parent_checkpoint_id"] == scope.checkpoint_id
    assert row["exact_match_before"] == 50 and row["exact_match"] < 50
    assert row["continuation_nll_nats"] > row["continuation_nll_before_nats"]
    again = rarecall(scope.home.root, *words, "-p", profile)
    assert again.returncode == 2 and "already" in again.stderr


def bad_requests(scope: Scope) -> dict[str, EditRequest]:
    ids = memorized(scope)
    never = query(
        scope.home,
        f"SELECT paragraph_id FROM scores WHERE exact_match < 5 AND checkpoint_id = '{scope.checkpoint_id}' ORDER BY 1",
    )["paragraph_id"][0]
    return {
        "no target paragraph": EditRequest(),
        "is not memorized": EditRequest((never,)),
        "near-duplicate cluster": EditRequest((ids[0],), control_ids=(ids[0],)),
        "0 paragraphs": EditRequest(("nobody",)),
        "is unknown": EditRequest((ids[0],), selection="some"),
        "does not exist": EditRequest((ids[0],), selection="head:9.9"),
        "learning rate": EditRequest((ids[0],), learning_rate=-1.0),
        "at least one": EditRequest((ids[0],), steps=0),
        "diverged": EditRequest((ids[0],), learning_rate=1e30, selection="all", save="broken"),
        "cannot be used as a name": EditRequest((ids[0],), save="../elsewhere"),
    }


def test_bad_requests_are_one_sentence_and_touch_nothing(scope: Scope) -> None:
    before, known = weights_hash(scope), set(registered(scope.home, "checkpoints"))
    for sentence, request in bad_requests(scope).items():
        with pytest.raises((RequestError, ProbeError, Exception), match=sentence) as caught:
            edit_checkpoint(scope, request)
        assert str(caught.value).endswith("."), sentence
    assert weights_hash(scope) == before and set(registered(scope.home, "checkpoints")) == known
    assert not (scope.home.edited_folder / "broken").exists()
