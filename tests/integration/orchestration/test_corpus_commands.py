"""`rarecall corpus` and `rarecall import` as typed: what they register, print and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from assets.framework.errors import RequestError
from assets.framework.profile import load_profile
from orchestration.cli.main import app
from orchestration.run.failures import exit_code, sentence_of
from warehouse.catalog.queries import query
from warehouse.home import Home


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("RARECALL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "240")
    return Home.locate()


def type_in(*words: object) -> str:
    """Output of a command that works."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.exception
    return result.output


def refused(*words: object) -> str:
    """The sentence of a command that is a wrong request."""
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exception is not None and exit_code(result.exception) == 2, result.output
    return sentence_of(result.exception)


def texts_in(folder: Path) -> Path:
    file = folder / "texts.jsonl"
    file.write_text("".join(json.dumps({"content": f"text number {i}", "set": "s"}) + "\n" for i in range(5)))
    return file


def test_add_list_and_remove(home, tmp_path):
    assert "no corpus has been read yet" in refused("corpus", "list")
    options = ("--option", "text_field=content", "--option", "subset_field=set")
    said = type_in("corpus", "add", "mine", texts_in(tmp_path), *options, "--on-bad", "skip")
    assert "mine: jsonl, first document texts.jsonl:1 of 13 characters" in said
    listed = type_in("corpus", "list")
    assert "mine" in listed and str(tmp_path / "texts.jsonl") in listed and "—" in listed
    assert "no longer registered" in type_in("corpus", "remove", "mine")
    assert "'mine' is not among the registered corpora" in refused("corpus", "remove", "mine")


def test_a_profile_names_a_registered_corpus(home, tmp_path):
    type_in("corpus", "add", "mine", texts_in(tmp_path), "--option", "text_field=content", "--vocabulary-size", "400")
    profile = tmp_path / "p.toml"
    profile.write_text('name = "p"\n[corpus]\ncorpus_id = "mine"\nshard_tokens = 5000\n')
    for loaded in (load_profile(str(profile)), load_profile("mine")):
        assert loaded.corpus.source == str(tmp_path / "texts.jsonl") and loaded.corpus.kind == "jsonl"
        assert loaded.corpus.options == {"text_field": "content"} and loaded.corpus.vocabulary_size == 400
    assert load_profile(str(profile)).corpus.shard_tokens == 5000
    profile.write_text('name = "p"\n[corpus]\ncorpus_id = "other"\n')
    with pytest.raises(Exception, match="'other' is not among the registered corpora"):
        load_profile(str(profile))
    with pytest.raises(RequestError, match="there is no profile 'other'"):
        load_profile("other")


def test_what_cannot_be_registered(home, tmp_path):
    file = texts_in(tmp_path)
    assert "does not exist" in refused("corpus", "add", "x", tmp_path / "absent")
    assert "no text in the field 'text'" in refused("corpus", "add", "x", file)
    assert "no option 'colour'" in refused("corpus", "add", "x", file, "--option", "colour=red")
    assert "is not NAME=VALUE" in refused("corpus", "add", "x", file, "--option", "colour")
    assert "no reader 'pigeon'" in refused("corpus", "add", "x", file, "--kind", "pigeon")
    assert "on_bad is wrong" in refused("corpus", "add", "x", file, "--on-bad", "ignore")
    assert "cannot be used as a name" in refused("corpus", "add", "../x", file, "--option", "text_field=content")
    np.arange(9, dtype="<u2").tofile(tmp_path / "ids.bin")
    assert "say with --tokenizer" in refused("corpus", "add", "x", tmp_path / "ids.bin")
    (tmp_path / "ids.bin").write_bytes(b"\1\0\1")
    assert "truncated" in refused("corpus", "add", "x", tmp_path / "ids.bin", "--tokenizer", "some/name")
    assert "no corpus has been read yet" in refused("corpus", "list")


def test_token_files_are_registered_by_their_sizes(home, tmp_path):
    np.arange(130, dtype="<u2").tofile(tmp_path / "ids.bin")
    words = ("--tokenizer", "some/name", "--option", "row_length=65")
    assert "token files with 130 tokens" in type_in("corpus", "add", "ids", tmp_path / "ids.bin", *words)
    assert load_profile("ids").corpus.options == {"row_length": 65}


def test_an_import_is_queried_and_named_by_profiles(home, tmp_path):
    ids = np.random.default_rng(1).integers(1, 500, (6, 8)).astype("<u2")
    ids[5] = ids[0]
    np.save(tmp_path / "val_prefix.npy", ids[:, :4])
    np.save(tmp_path / "val_suffix.npy", ids[:, 4:])
    said = type_in("import", "lm-extraction-benchmark", tmp_path, "--name", "val")
    assert "val: 6 paragraphs, 5 of them distinct" in said
    rows = query(
        home, "SELECT split, count(*) AS n, count(DISTINCT paragraph_id) AS d FROM released_paragraphs GROUP BY 1"
    )
    assert rows.rows() == [("val", 6, 5)]
    assert load_profile("val").corpus.kind == "released"
    np.save(tmp_path / "val_suffix.npy", ids[:3, 4:])
    assert "has 3 rows but its prefixes have 6" in refused(
        "import", "lm-extraction-benchmark", tmp_path, "--name", "val"
    )
    assert query(home, "SELECT count(*) AS n FROM released_paragraphs")["n"][0] == 6, "the import before is kept"
    assert "no .pt file" in refused("import", "localizing-paragraph-memorization", tmp_path)


def test_a_look_changes_nothing(home, tmp_path):
    (tmp_path / "in").mkdir()
    file = texts_in(tmp_path / "in")
    (tmp_path / "in" / "README.md").write_text("words")
    said = type_in(
        "corpus", "inspect", tmp_path / "in", "--option", "text_field=content", "--option", "subset_field=set"
    )
    assert "jsonl" in said and "1 files" in said and "5 documents read (all of them)" in said
    assert "left out: kind text, such as README.md" in said and "[s]" in said and "tokens (at four bytes" in said
    named = type_in("corpus", "inspect", tmp_path / "in", "--option", "text_field=content", "--left-out")
    assert "left out: README.md (kind text)" in named
    assert not home.root.exists()
    said = type_in("corpus", "inspect", file)
    assert "5 would be skipped: no text field" in said
    (tmp_path / "in" / "more.csv").write_text("text\nx\n")
    said = type_in("corpus", "inspect", tmp_path / "in", "--option", "text_field=content")
    assert "cannot be read as it is" in said and "A run would end with:" in said and "several kinds" in said
    assert "several kinds: 1 csv, 1 jsonl" in refused(
        "corpus", "add", "x", tmp_path / "in", "--option", "text_field=content"
    )


def test_options_are_checked_when_they_are_given(home, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("some text")
    (tmp_path / "in" / "b.md").write_text("other text")
    said = type_in("corpus", "add", "texts", tmp_path / "in", "--option", "suffixes=.txt")
    assert "1 files are left out" in said
    assert load_profile("texts").corpus.options == {"suffixes": [".txt"]}
    assert "option split = 'half' is wrong" in refused("corpus", "add", "x", tmp_path / "in", "--option", "split=half")
    np.arange(130, dtype="<u2").tofile(tmp_path / "ids.bin")
    words = ("corpus", "add", "ids", tmp_path / "ids.bin", "--tokenizer", "some/name")
    assert "option row_length = 'x' is wrong" in refused(*words, "--option", "row_length=x")
    assert "no option 'width'" in refused(*words, "--option", "width=2")


def test_token_files_of_another_width_are_refused_before_any_run(home, tmp_path):
    from corpus_stats.tokens.tokenizer import train_tokenizer

    train_tokenizer(["one two three " * 9], 270).save_pretrained(tmp_path / "tok")
    np.random.default_rng(0).integers(1, 250, 500).astype("<u4").tofile(tmp_path / "ids.bin")
    words = ("corpus", "add", "ids", tmp_path / "ids.bin", "--tokenizer", tmp_path / "tok")
    assert "pass dtype = 'uint32'" in refused(*words)
    assert "token files with 500 tokens" in type_in(*words, "--option", "dtype=uint32")
    assert "uint32, 1 files, 500 tokens" in type_in(
        "corpus", "inspect", tmp_path / "ids.bin", "--tokenizer", tmp_path / "tok", "--option", "dtype=uint32"
    )


def test_texts_with_known_copies_become_a_ladder(home, tmp_path):
    from assets.framework.stage import Scope
    from corpus_stats.tokens.tokenizer import train_tokenizer
    from orchestration.run.executor import Executor
    from orchestration.run.flow import Step

    generator = np.random.default_rng(0)
    texts = [" ".join(f"w{i}" for i in generator.integers(0, 500, 90)) for _ in range(8)]
    train_tokenizer(texts, 300).save_pretrained(tmp_path / "tok")
    (tmp_path / "in").mkdir()
    for text, copies in zip(texts, [0, 0, 1, 1, 4, 4, 16, 16], strict=True):
        with (tmp_path / "in" / f"rep_{copies}.jsonl").open("a") as file:
            file.write(json.dumps({"text": text}) + "\n")
    said = type_in("import", "texts-with-copies", tmp_path / "in", "--tokenizer", tmp_path / "tok", "--name", "copied")
    assert "copied: 8 paragraphs, 8 of them distinct" in said
    profile = tmp_path / "p.toml"
    profile.write_text('name = "p"\n[corpus]\ncorpus_id = "copied"\n[paragraphs]\nminimum_unique_share = 0.0\n')
    scope = Scope(home, load_profile(str(profile), home))
    Executor(scope, str(profile), lambda: None).run(Step("corpus"))
    assert sorted(scope.read("paragraphs")["duplication_count"].to_list()) == [0, 0, 1, 1, 4, 4, 16, 16]
    said = type_in("trace", f"zqx {texts[3][10:90]} zqx", "--profile", profile, "-f", "csv")
    row = next(line for line in said.splitlines() if texts[3][15:85] in line).split(",")
    assert row[1] == "1" and row[3] == "rep_1.jsonl:1"
    assert "No stretch of 30 tokens" in type_in("trace", "z q x " * 40, "--profile", profile, "--minimum", 30)
    assert "give a longer one" in refused("trace", "a", "--profile", profile)
    assert "has not been read yet" in refused("trace", "some text", "--profile", "quickstart")
    ladder = scope.read("duplication_ladder").group_by("duplication_group").len().sort("duplication_group")
    assert dict(ladder.rows()) == {"held out": 2, "×1": 2, "×4": 2, "×16": 2}
