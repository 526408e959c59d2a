"""Evidence about a corpus: whatever is read and changes makes its tables stale, and nothing else does."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

from assets.corpus import evidence
from assets.corpus.text import corpora, corpus_source, forget_contents, tokenizers
from assets.framework.profile import load_profile
from assets.framework.stage import Scope, Stage
from corpus_stats.tokens.tokenizer import train_tokenizer
from orchestration.run.executor import Executor
from orchestration.run.flow import Step
from tests.support.checkpoints.hub_server import NOWHERE, Hub, point_client_at, serving
from warehouse.home import Home

PROFILE = """
name = "seen"
[corpus]
corpus_id = "seen"
source = "{source}"
kind = "{kind}"
tokenizer = "{tokenizer}"
[paragraphs]
prefix_length = 4
continuation_length = 4
count = 3
minimum_unique_share = 0.0
"""
TEXTS = [f"a line of text, number {i}, as long as any other of these lines" for i in range(9)]


def written(folder: Path, texts: list[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return folder


def ready(root: Path, kind: str = "jsonl") -> Scope:
    """A home whose corpus tables are made, of `root/input` with the tokenizer `root/tok`."""
    if not (root / "tok").exists():
        train_tokenizer(TEXTS, 300).save_pretrained(root / "tok")
    profile = root / "p.toml"
    profile.write_text(PROFILE.format(source=root / "input", kind=kind, tokenizer=root / "tok"))
    home = Home(root / "home").prepare()
    scope = Scope(home, load_profile(str(profile), home))
    Executor(scope, str(profile), lambda: None).run(Step("corpus"))
    return scope


def is_current(scope: Scope, stage: Stage = corpora) -> bool:
    forget_contents()
    return stage.is_current(scope)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One home that several tests look at: its source holds a real file, a linked one and a linked folder."""
    root = tmp_path_factory.mktemp("made")
    store = written(root / "store", TEXTS)
    written(root / "input" / "site-packages", TEXTS[:4])
    (root / "input" / "linked").symlink_to(store)
    written(root / "elsewhere", TEXTS[4:])
    (root / "input" / "one.jsonl").symlink_to(root / "elsewhere" / "texts.jsonl")
    return root, ready(root)


@pytest.mark.parametrize("place", ["store", "elsewhere", "input/site-packages"])
def test_what_is_read_through_links_and_in_any_folder_is_evidence(made, place):
    root, scope = made
    assert scope.read("corpora")["document_count"][0] == 9 + 4 + 5
    assert is_current(scope)
    file, facts = root / place / "texts.jsonl", (root / place / "texts.jsonl").stat()
    before = file.read_bytes()
    file.write_bytes(before.replace(b"number", b"NUMBER"))
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert file.stat().st_size == facts.st_size and not is_current(scope), "same size, same time, another content"
    file.write_bytes(before)
    assert is_current(scope), "the content is what counts"


def test_files_that_are_not_read_are_no_evidence(made):
    root, scope = made
    (root / "input" / ".DS_Store").write_bytes(b"x")
    (root / "tok" / "trainer_state.json").write_text("{}")
    os.utime(root / "input" / "one.jsonl")
    assert is_current(scope) and is_current(scope, tokenizers)


def test_a_file_is_hashed_once(made, monkeypatch):
    _, scope = made
    assert is_current(scope)
    monkeypatch.setattr(evidence, "file_sha256", lambda path: pytest.fail(f"{path} was read again"))
    assert is_current(scope)


def test_another_tokenizer_in_the_same_folder_is_another_corpus(tmp_path):
    written(tmp_path / "input", TEXTS)
    scope = ready(tmp_path)
    before = scope.read("paragraphs")["token_ids"].to_list()
    train_tokenizer([text[::-1] for text in TEXTS], 290).save_pretrained(tmp_path / "tok")
    assert not is_current(scope, tokenizers) and not is_current(scope)
    scope = ready(tmp_path)
    assert is_current(scope) and scope.read("paragraphs")["token_ids"].to_list() != before


def test_homes_of_earlier_versions_are_adopted_where_their_evidence_was_sound(tmp_path):
    written(tmp_path / "input", TEXTS)
    scope = ready(tmp_path)
    files = {table: scope.store(table).files("seen") for table in ("tokenizers", "corpora", "paragraphs")}
    made_by_an_earlier_version(scope)
    assert is_current(scope, tokenizers) and is_current(scope)
    assert {table: scope.store(table).files("seen") for table in files} == files, "nothing was made again"
    manifest = scope.store("corpora").manifest("seen")
    assert manifest is not None and "content" in manifest.inputs["outside"], "from now on today's evidence counts"
    made_by_an_earlier_version(scope)
    train_tokenizer(TEXTS[:2], 280).save_pretrained(tmp_path / "tok")
    assert not is_current(scope), "the tokenizer is not the one of the record"


def test_texts_that_name_a_special_token_are_read_again(tmp_path):
    written(tmp_path / "input", [*TEXTS, "it ends with <|endoftext|> as text"])
    scope = ready(tmp_path)
    made_by_an_earlier_version(scope)
    assert is_current(scope), "as text it holds no special id"
    counts = scope.read("unigrams").with_columns(
        token_count=pl.col("token_count") + (pl.col("token_id") == 0).cast(int)
    )
    manifest = scope.store("unigrams").manifest("seen")
    assert manifest is not None
    writer = scope.store("unigrams").writer("seen", {**manifest.inputs, "by": "an earlier version"}, 1)
    writer.write(0, counts)
    writer.finish()
    made_by_an_earlier_version(scope)
    assert not is_current(scope), "an earlier version counted the id"


def test_homes_of_earlier_versions_are_not_believed_about_links(tmp_path):
    written(tmp_path / "store", TEXTS)
    written(tmp_path / "input", TEXTS)
    (tmp_path / "input" / "linked.jsonl").symlink_to(tmp_path / "store" / "texts.jsonl")
    scope = ready(tmp_path)
    made_by_an_earlier_version(scope)
    assert not is_current(scope)


def made_by_an_earlier_version(scope: Scope) -> None:
    """Manifests as 0.2.0 wrote them: names, sizes and times of files; nothing about the tokenizer."""
    source = corpus_source(scope.profile)
    evidence.files_signature.cache_clear()
    for stage in (tokenizers, corpora):
        outside = {"source": source, "files": evidence.files_signature(source)}
        for table in stage.tables:
            scope.store(table).adopt("seen", {**stage.inputs(scope), "outside": outside})


def test_a_tokenizer_of_the_hub_is_known_by_its_commit(tmp_path, monkeypatch):
    """The commit that the cache stands for; it moves when somebody fetches a newer one."""
    from huggingface_hub import hf_hub_download

    train_tokenizer(TEXTS, 300).save_pretrained(tmp_path / "first")
    train_tokenizer(TEXTS[:2], 280).save_pretrained(tmp_path / "second")
    with serving(Hub()) as hub:
        point_client_at(monkeypatch, hub.url, tmp_path / "cache")
        commit = hub.repository("owner/tok").push(tmp_path / "first")
        home = Home(tmp_path / "home").prepare()
        assert evidence.tokenizer_content(home, "x", "owner/tok") == commit
        hf_hub_download("owner/tok", "tokenizer.json")
        asked = len(hub.asked)
        assert evidence.tokenizer_content(home, "x", "owner/tok") == commit and len(hub.asked) == asked
        later = hub.repository("owner/tok").push(tmp_path / "second")
        hf_hub_download("owner/tok", "tokenizer.json")
        assert evidence.tokenizer_content(home, "x", "owner/tok") == later
    assert evidence.tokenizer_content(home, "x", str(tmp_path / "absent")) is None


def test_a_data_set_of_the_hub_is_known_by_its_commit(tmp_path, monkeypatch):
    written(tmp_path / "data", TEXTS)
    with serving(Hub()) as hub:
        point_client_at(monkeypatch, hub.url, tmp_path / "cache")
        commit = hub.repository("owner/data").push(tmp_path / "data")
        assert evidence.data_set_commit("owner/data") == commit
        hub.repository("owner/data").push(tmp_path)
        assert evidence.data_set_commit("owner/data", commit) == commit, "a commit cannot move"
        assert evidence.data_set_commit("owner/data") != commit
    point_client_at(monkeypatch, NOWHERE, tmp_path / "cache")
    assert evidence.data_set_commit("owner/data") is None
