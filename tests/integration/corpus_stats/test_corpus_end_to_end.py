"""The quickstart's corpus from the installation to samples, whatever the threads; memory that does not grow."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from corpus_stats import Document
from corpus_stats.counts.occurrences import count_occurrences
from corpus_stats.duplicates.near_duplicates import near_duplicate_clusters
from corpus_stats.paragraphs.ladder import build_ladder
from corpus_stats.paragraphs.sampling import sample_windows
from corpus_stats.readers import open_source
from corpus_stats.tokens import shards
from corpus_stats.tokens.shards import TokenStream, open_corpus, write_token_shards
from corpus_stats.tokens.stream import count_tokens
from corpus_stats.tokens.tokenizer import load_tokenizer
from tests.support import REPOSITORY

_TOKENIZE = """
import sys
from pathlib import Path
from corpus_stats.readers import open_source
from corpus_stats.tokens.shards import write_token_shards
from corpus_stats.tokens.tokenizer import train_tokenizer

documents = [d for d in open_source("python") if d.subset in ("json", "asyncio", "email", "documentation")]
tokenizer = train_tokenizer((d.text for d in documents), 1024)
tokenizer.save_pretrained(Path(sys.argv[1]) / "tokenizer")
write_token_shards(documents, tokenizer, Path(sys.argv[1]) / "tokens", shard_tokens=100_000)
"""


def _run(folder: Path, threads: str) -> Path:
    environment = {
        **os.environ,
        "RAYON_NUM_THREADS": threads,
        "PYTHONHASHSEED": threads,
        "TOKENIZERS_PARALLELISM": "true",
    }
    root = str(REPOSITORY)
    subprocess.run([sys.executable, "-c", _TOKENIZE, str(folder)], check=True, env=environment, cwd=root)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return _run(tmp_path_factory.mktemp("one"), "1")


def _hashes(folder: Path) -> dict[str, str]:
    names = ["tokenizer/tokenizer.json", *sorted(f"tokens/{p.name}" for p in (folder / "tokens").iterdir())]
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def test_threads_and_hash_seeds_change_no_byte(run, tmp_path):
    assert _hashes(run) == _hashes(_run(tmp_path, "2"))


def test_from_tokens_to_ladder(run):
    corpus, stream = open_corpus(run / "tokens"), TokenStream(run / "tokens")
    assert len(stream.shards) > 2
    counts = [count_tokens(shard, corpus.vocabulary_count) for shard in stream.shards]
    assert np.sum(counts) == corpus.token_count == stream.token_count
    sample = sample_windows(stream, corpus.documents, 100, 400, seed=3)
    token_ids = stream.windows(sample["token_offset"].to_numpy(), 100)
    assert (count_occurrences(stream, token_ids) >= 1).all(), "every sampled window occurs where it was sampled"
    clusters = near_duplicate_clusters(token_ids)
    copies = build_ladder(clusters, {64: 20, 1: 50}, held_out=50, seed=3)
    assert np.bincount(copies + 1)[[0, 1, 2, 65]].tolist() == [280, 50, 50, 20]


def test_saved_tokenizer_gives_the_same_ids(run):
    tokenizer, stream = load_tokenizer(str(run / "tokenizer")), TokenStream(run / "tokens")
    row = open_corpus(run / "tokens").documents.row(3, named=True)
    text = next(d.text for d in open_source("python") if d.name == row["name"])
    assert stream.read(row["token_offset"], row["token_count"]).tolist() == tokenizer.encode(text)


def _peak(run, source, folder) -> int:
    tokenizer = load_tokenizer(str(run / "tokenizer"))
    tracemalloc.start()
    try:
        corpus = write_token_shards(open_source(str(source)), tokenizer, folder)
        stream = TokenStream(folder)
        for shard in stream.shards:
            count_tokens(shard, corpus.vocabulary_count)
        count_occurrences(stream, stream.windows(np.arange(10) * 100, 100))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_is_flat_when_the_corpus_grows_tenfold(run, tmp_path, monkeypatch):
    monkeypatch.setattr(shards, "BATCH_CHARACTERS", 200_000)
    text = "".join(d.text for d in open_source("python") if d.subset == "json")[:4000]
    peaks = []
    for scale in (1, 10):
        source = tmp_path / f"{scale}.jsonl"
        with source.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps({"text": f"{i} {text}"}) + "\n" for i in range(100 * scale))
        peaks.append(_peak(run, source, tmp_path / str(scale)))
    assert source.stat().st_size > 4e6
    assert peaks[1] < 1.3 * peaks[0]


def test_a_killed_run_leaves_no_corpus_and_the_next_one_no_debris(run, tmp_path):
    tokenizer = load_tokenizer(str(run / "tokenizer"))
    (tmp_path / ".tokens-00007.bin.partial").write_bytes(b"left by a killed run")
    (tmp_path / ".documents.parquet.partial").write_bytes(b"left by a killed run")
    write_token_shards([Document("a", "a", "text")], tokenizer, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["documents.parquet", "tokens-00000.bin", "tokens.json"]
