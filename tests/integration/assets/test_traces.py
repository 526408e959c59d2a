"""Traces of continuations: the table and its mart against every stretch and every place, tried one by one."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from assets.framework.profile import load_profile
from assets.framework.stage import Scope
from assets.memorization.traces import MINIMUM_TOKENS, traces
from corpus_stats.tokens.stream import FORMAT
from tests.support.results_world import World
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import query
from warehouse.home import Home

PREFIX, LENGTH, MODEL = 6, 36, "m"
PROFILE = """
name = "traced"
[corpus]
corpus_id = "world"
source = "nowhere"
tokenizer = "nowhere"
[paragraphs]
prefix_length = 6
continuation_length = 30
"""


def stretches(corpus: list[int], text: list[int], own: int | None) -> list[tuple[int, int, list[int]]]:
    """Offset, length and places of every stretch that no longer one holds, by trying all of them."""
    found, furthest = [], 0
    for begin in range(len(text)):
        for end in range(len(text), max(furthest, begin + MINIMUM_TOKENS - 1), -1):
            wanted = text[begin:end]
            places = [at for at in range(len(corpus)) if corpus[at : at + len(wanted)] == wanted]
            places = [at for at in places if own is None or at != own + begin]
            if places:
                found.append((begin, end - begin, places))
                furthest = end
                break
    return found


@pytest.fixture(scope="module")
def scope(tmp_path_factory) -> Scope:
    """Eight paragraphs; what was written instead is new text, text of another document, or text across two."""
    root, random = tmp_path_factory.mktemp("traced"), np.random.default_rng(3)
    corpus = random.integers(0, 50, 600)
    corpus[400:430], corpus[560:590] = corpus[20:50], corpus[187:217]
    offsets = [10, 60, 110, 210, 260, 310, 410, 505]
    matches = [0, 12, 29, 5, 0, 20, 3, 30]
    written = [corpus[at + PREFIX : at + LENGTH].copy() for at in offsets]
    written[0] = corpus[187:217].copy()
    written[1][12:] = corpus[500:518]
    written[2][29:] = 51
    written[3][5:] = 51
    written[4] = np.r_[corpus[0:15], corpus[300:315]]
    written[5][20:] = 52
    written[6][3:] = corpus[27:54]
    (root / "traced.toml").write_text(PROFILE)
    scope = Scope(Home(root / "home").prepare(), load_profile(str(root / "traced.toml")), MODEL)
    tokens = scope.corpus_folder() / "tokens"
    tokens.mkdir(parents=True)
    corpus.astype("<u2").tofile(tokens / "all.bin")
    shard = f'[{{"file": "all.bin", "token_count": {len(corpus)}}}]'
    (tokens / "tokens.json").write_text(f'{{"format": "{FORMAT}", "dtype": "<u2", "shards": {shard}}}')
    names = [f"p{i}" for i in range(len(offsets))]
    world = World(scope.home)
    world.put("corpora", "world", source=["nowhere"], token_count=[len(corpus)])
    world.put(
        "documents", "world", document_id=range(3), name=["a", "b", "c"],
        token_offset=[0, 200, 400], token_count=[200, 200, 199],
    )  # fmt: skip
    world.put(
        "paragraphs", "world", paragraph_id=names, token_offset=offsets, document_id=[0, 0, 0, 1, 1, 1, 2, 2],
        token_ids=[corpus[at : at + LENGTH].tolist() for at in offsets], prefix_length=[PREFIX] * 8,
        continuation_length=[30] * 8, near_duplicate_cluster=[0, 0, 1, 2, 3, 4, 5, 6], text=[""] * 8,
        continuation_origin=["corpus"] * 8,
    )  # fmt: skip
    world.put("checkpoints", MODEL, corpus_id=["world"], training_step=[1])
    bins = ["50" if m == 30 else "0-10" if m < 11 else "11-29" for m in matches]
    recited = [m == 30 for m in matches]
    diverges = [None if m == 30 else PREFIX + m for m in matches]
    world.put(
        "scores", MODEL, paragraph_id=names, exact_match=matches, em_bin=bins, is_memorized=recited,
        divergence_position=diverges,
    )  # fmt: skip
    kept = [ids.tolist() for ids, match in zip(written, matches, strict=True) if match < 30]
    world.put("generations", MODEL, paragraph_id=names[:7], generated_ids=kept, generated_text=[""] * 7)
    return scope


@pytest.fixture(scope="module")
def frame(scope) -> pl.DataFrame:
    """Rows of the table."""
    return traces.shards_of(scope).compute(0)["traces"]


def expected(scope: Scope) -> list[tuple]:
    """Every row by brute force."""
    corpus = np.fromfile(scope.corpus_folder() / "tokens" / "all.bin", dtype="<u2").tolist()
    facts = scope.read("paragraphs").join(scope.read("scores"), on="paragraph_id", maintain_order="left")
    rows = []
    for row in scope.read("generations").join(facts, on="paragraph_id", maintain_order="left").iter_rows(named=True):
        for name, ids, own in (
            ("written", row["generated_ids"], None),
            ("true", row["token_ids"][PREFIX:], row["token_offset"] + PREFIX),
        ):
            for begin, length, places in stretches(corpus, ids, own):
                inside = {*range(begin, begin + length)} & {*range(row["exact_match"], 30)}
                first = [(s, d) for d, (s, n) in enumerate([(0, 200), (200, 200), (400, 199)])
                         if s <= places[0] and places[0] + length <= s + n]  # fmt: skip
                document = first[0][1] if first else None
                facts_of = (begin + PREFIX, length, len(inside), len(places), places[:5], document)
                rows.append((row["paragraph_id"], name, *facts_of))
    return sorted(rows)


def test_rows_are_those_of_trying_every_stretch_at_every_place(scope, frame):
    names = (
        *("paragraph_id", "traced_text", "position", "token_count", "divergent_count", "occurrence_count"),
        *("token_offsets", "document_id"),
    )
    found = sorted(frame.select(names).rows())
    assert found == expected(scope)
    assert any(row[-1] is None for row in found) and any(row[5] > 1 for row in found)
    assert {row[1] for row in found} == {"written", "true"}


def test_the_mart_says_which_share_is_copied_beside_what_real_text_shares(scope, frame):
    store = scope.store("traces")
    writer = store.writer(MODEL, {"seed": 1}, 1)
    writer.write(0, frame, checkpoint_id=MODEL)
    writer.finish()
    publish_catalog(scope.home)
    shares: dict[tuple[str, int], dict[str, list[float]]] = {}
    matches = dict(scope.read("scores", ["paragraph_id", "exact_match"]).rows())
    clusters = dict(scope.read("paragraphs", ["paragraph_id", "near_duplicate_cluster"]).rows())
    for paragraph in scope.read("generations")["paragraph_id"]:
        match = matches[paragraph]
        for text in ("written", "true"):
            open_places = {*range(PREFIX + match, LENGTH)}
            reach = frame.filter(pl.col("divergent_count") > 0, paragraph_id=paragraph, traced_text=text)
            covered = {p for at, n in reach.select("position", "token_count").iter_rows() for p in range(at, at + n)}
            key = ("0-10" if match < 11 else "11-29", clusters[paragraph])
            share = len(covered & open_places) / len(open_places)
            shares.setdefault(key, {"written": [], "true": []})[text].append(share)
    for row in query(scope.home, "from written_from_corpus").iter_rows(named=True):
        of_bin = [means for (name, _), means in shares.items() if name == row["em_bin"]]
        assert row["cluster_count"] == len(of_bin)
        for text, column in (("written", "written_share"), ("true", "true_share")):
            assert row[column] == pytest.approx(np.mean([np.mean(means[text]) for means in of_bin]))
    asked = query(scope.home, "from traces where divergent_count = 30")
    assert asked["paragraph_id"].to_list() == ["p0"], "only the first wrote one stretch of another document to the end"
