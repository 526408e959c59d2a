"""A warehouse made of invented measurements: any number of paragraphs and checkpoints in seconds, no model.

Columns that nobody here names get a value of their type, so that a column added to the registry breaks nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from assets.figures import FIGURES
from assets.figures.files import write_omissions
from assets.framework.profile import ReportSettings
from assets.report import write_report
from warehouse.catalog.publish import publish_catalog
from warehouse.catalog.queries import latest_checkpoint
from warehouse.home import Home
from warehouse.record.parts import TableStore
from warehouse.registry import TABLES

CORPUS = "world"
PREFIX = CONTINUATION = 50
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
SECRET = "ada.lovelace@example.org"
RIGHT_TO_LEFT, LONG = " שלום", "🦜" * 99 + "x" * 200 + "\x1b[2J"
SPECIAL = {0: HOSTILE, 1: " write to ", 2: "ada.lovelace", 3: "@", 4: "example.org", 5: "\n", 6: "\t"}
SPECIAL |= {7: RIGHT_TO_LEFT, 8: LONG}
_ZERO = {"VARCHAR": "—", "BOOLEAN": False, "INTEGER": 0, "BIGINT": 0, "DOUBLE": 0.0, "FLOAT": 0.0, "INTEGER[]": []}


class World:
    """Writes the tables; sizes are given once."""

    def __init__(
        self, home: Home, paragraphs: int = 24, checkpoints: int = 2, layers: int = 2, heads: int = 2, seed: int = 1
    ):
        self.home, self.layers, self.heads = home, layers, heads
        self.random = np.random.default_rng(seed)
        self.vocabulary = 400
        self.names = [self.random.bytes(16).hex() for _ in range(paragraphs)]
        self.ids = self.random.integers(len(SPECIAL), self.vocabulary, (paragraphs, PREFIX + CONTINUATION))
        self.ids[0, 3:8] = [0, 1, 2, 3, 4]
        self.ids[1, 0:2] = [8, 7]
        self.copies = np.array([0, 1, 4, 16, 64, 256])[self.random.integers(0, 6, paragraphs)]
        self.checkpoints = [f"world-step-{100 * i:05d}" for i in range(checkpoints)]
        self.measured = list(range(min(paragraphs, 48)))

    def write(self) -> Home:
        """Every table that views, marts, figures and the browser read."""
        self._corpus_tables()
        for index, name in enumerate(self.checkpoints):
            self._checkpoint_tables(name, index)
        return self.home

    def put(self, table: str, partition: str, **columns: Any) -> None:
        """Write one partition in one shard; what is not given is empty or a zero of its type."""
        frame = pl.DataFrame(columns)
        for column in TABLES[table].columns:
            if column.name not in frame.columns:
                value = None if column.nullable else _ZERO.get(column.type, 0)
                frame = frame.with_columns(pl.lit(value).alias(column.name))
        store = TableStore.of(self.home, table)
        writer = store.writer(partition, {"seed": 1}, 1)
        writer.write(0, frame, **{f"{store.table.partition}_id": partition})
        writer.finish()

    def token(self, index: int) -> str:
        """Text of a token."""
        return SPECIAL.get(index, f" word{index}")

    def _corpus_tables(self) -> None:
        count = len(self.names)
        counts = self.random.zipf(1.3, self.vocabulary).clip(1, 10**6)
        texts = ["".join(self.token(i) for i in row) for row in self.ids]
        self.put("corpora", CORPUS, source=["invented"], token_count=[int(counts.sum())], fingerprint=["f" * 64])
        self.put(
            "paragraphs", CORPUS, paragraph_id=self.names, document_id=range(count), subset=["some"] * count, text=texts,
            token_ids=self.ids.tolist(), content_kind=["code" if i % 2 else "prose" for i in range(count)],
            prefix_length=[PREFIX] * count, continuation_length=[CONTINUATION] * count, occurrence_count=[1] * count,
            duplication_count=self.copies, near_duplicate_cluster=range(count),
        )  # fmt: skip
        rank = np.argsort(np.argsort(counts))
        self.put(
            "unigrams", CORPUS, token_id=range(self.vocabulary), token=[self.token(i) for i in range(self.vocabulary)],
            token_count=counts, probability=counts / counts.sum(), rarity_rank=rank,
            surprisal_bits=-np.log2(counts / counts.sum()),
        )  # fmt: skip

    def _checkpoint_tables(self, name: str, index: int) -> None:
        self.put(
            "checkpoints", name, corpus_id=[CORPUS], source=["nowhere"], training_step=[100 * index], layer_count=[self.layers],
            head_count=[self.heads], parameter_count=[1000], architecture=["gpt_neo"], weights_sha256=["a" * 64],
        )  # fmt: skip
        matches = self._scores(name, index)
        self._token_scores(name)
        self._perturbations(name, matches)
        self._attention(name)
        self._gradients(name, matches)
        self._analysis(name)
        self._edits(name)

    def _scores(self, name: str, index: int) -> Any:
        share = (index + 1) / len(self.checkpoints) * np.log2(1 + self.copies) / 8
        matches = np.where(
            self.random.random(len(self.names)) < share, CONTINUATION, self.random.integers(0, 12, len(self.names))
        )
        bins = ["50" if m == CONTINUATION else "0-10" if m <= 10 else "11-29" for m in matches]
        recited = matches == CONTINUATION
        self.put(
            "scores", name, paragraph_id=self.names, exact_match=matches, em_bin=bins, is_memorized=recited,
            continuation_nll_nats=self.random.gamma(2, 1, len(self.names)),
            continuation_logprob_nats=-self.random.gamma(2, 50, len(self.names)),
            divergence_position=[None if m == CONTINUATION else PREFIX + int(m) for m in matches],
        )  # fmt: skip
        open_rows = np.flatnonzero(~recited)
        written = [
            [*self.ids[i, PREFIX : PREFIX + matches[i]].tolist(), *[9] * (CONTINUATION - matches[i])] for i in open_rows
        ]
        texts = ["".join(self.token(i) for i in row) for row in written]
        self.put(
            "generations",
            name,
            paragraph_id=[self.names[i] for i in open_rows],
            generated_ids=written,
            generated_text=texts,
        )
        return matches

    def _token_scores(self, name: str) -> None:
        width = self.ids.shape[1] - 1
        self.put(
            "token_scores", name, paragraph_id=np.repeat(self.names, width), position=np.tile(np.arange(1, width + 1), len(self.names)),
            token_id=self.ids[:, 1:].reshape(-1), nll_nats=self.random.gamma(1, 2, len(self.names) * width), argmax_id=self.ids[:, 1:].reshape(-1),
        )  # fmt: skip

    def _perturbations(self, name: str, matches: Any) -> None:
        rows, width = len(self.measured), PREFIX - 1
        drops = self.random.integers(0, CONTINUATION + 1, rows * width)
        self.put(
            "perturbations", name, paragraph_id=np.repeat([self.names[i] for i in self.measured], width), em_drop=drops,
            position=np.tile(np.arange(1, PREFIX), rows), policy=["uniform"] * (rows * width), is_main_policy=[True] * (rows * width), reference=np.repeat(["corpus" if matches[i] == CONTINUATION else "model" for i in self.measured], width),
            delta_nll_nats=drops / 10, exact_match=CONTINUATION - drops, original_id=self.ids[self.measured, 1:PREFIX].reshape(-1),
        )  # fmt: skip

    def _attention(self, name: str) -> None:
        grid = [(p, layer, head) for p in self.names for layer in range(self.layers) for head in range(self.heads)]
        weights = self.random.dirichlet(np.ones(PREFIX + 1), len(grid))
        names, layers, heads = zip(*grid, strict=True)
        self.put(
            "head_attention", name, paragraph_id=names, layer=layers, head=heads, self_share=weights[:, -1],
            attention=pl.Series(weights[:, :-1].tolist(), dtype=pl.List(pl.Float64)),
        )  # fmt: skip

    def _gradients(self, name: str, matches: Any) -> None:
        parts = [(c, h) for c in ("W_Q", "W_K", "W_V", "W_O") for h in range(self.heads)] + [
            ("W_in", None),
            ("W_out", None),
        ]
        rows = [
            (self.names[i], "MP" if matches[i] == CONTINUATION else "NMP", layer, c, h)
            for i in self.measured for layer in range(self.layers) for c, h in parts
        ]  # fmt: skip
        names, groups, layers, components, heads = zip(*rows, strict=True)
        self.put(
            "parameter_gradients", name, paragraph_id=names, paragraph_group=groups, layer=layers, component=components,
            head=heads, max_abs=self.random.gamma(1, 1, len(rows)),
        )  # fmt: skip
        spots = [(self.names[i], p) for i in self.measured for p in range(PREFIX)]
        self.put(
            "activation_gradients", name, paragraph_id=[n for n, _ in spots], position=[p for _, p in spots],
            component=["v"] * len(spots), score=self.random.gamma(1, 0.01, len(spots)),
        )  # fmt: skip

    def _analysis(self, name: str) -> None:
        pairs = [(layer, head) for layer in range(self.layers) for head in range(self.heads)]
        twice = [(c, *pair) for c in ("spearman", "summed_by_rank") for pair in pairs]
        estimates = self.random.normal(0, 0.2, len(twice))
        self.put(
            "head_rarity", name, coefficient=[c for c, _, _ in twice], layer=[x for _, x, _ in twice],
            head=[x for _, _, x in twice], paragraph_group=["all"] * len(twice), estimate=estimates,
            lower=estimates - 0.05, upper=estimates + 0.05, placebo_lower=[-0.02] * len(twice), q_value=[0.01] * len(twice),
            placebo_upper=[0.02] * len(twice), token_q_value=[0.01] * len(twice), uniform_null=[-0.6] * len(twice),
            rank_among_heads=[*range(len(pairs))] * 2, placebo=[0.0] * len(twice),
        )  # fmt: skip
        drops = self.random.random(self.layers)
        self.put(
            "interventions", name, kind=["identity"] * self.layers, part=["attention"] * self.layers, layer=range(self.layers),
            last_layer=range(self.layers), paragraph_group=["MP"] * self.layers, memorization_drop_share=drops,
            recital_loss_share=drops, utility_drop_share=drops / 3, selectivity=drops * 2 / 3, lower=drops / 2, upper=drops,
            null_value=[0.05] * self.layers, excess=drops / 2, excess_lower=drops / 3, excess_upper=drops * 0.8,
            is_collapsed=drops > 0.9, is_selective=drops < 0.9,
        )  # fmt: skip
        self.put(
            "claims", name, claim_id=["rare-triggers", "late-triggers"], paper=["P1"] * 2, statement=["Rare tokens <b>trigger</b>.", "Late ones do."],
            verdict=["contradicted", "supported"], reason=["The interval contains the null.", "Above the null."], ours=[0.1, 2.0],
            lower=[-0.1, 1.0], upper=[0.3, 3.0], null_value=[0.0, 0.0], reported=[0.2, 1.5],
        )  # fmt: skip

    def _edits(self, name: str) -> None:
        selections, sets = ("all", "random:0.01", "top:0.01"), ("targets", "controls")
        left = {"all": 1.0, "random:0.01": 50.0, "top:0.01": 25.0}
        rows = [(s, e, step) for s in selections for e in sets for step in (0, 2, 10)]
        self.put(
            "edits", name, protocol=["single"] * len(rows), objective=["unlearn"] * len(rows), selection=[r[0] for r in rows],
            target=[self.names[0]] * len(rows), evaluation_set=[r[1] for r in rows], step=[r[2] for r in rows],
            exact_match_before=[50.0] * len(rows), exact_match=[50.0 if r[2] == 0 else left[r[0]] for r in rows],
        )  # fmt: skip
        cards = [(s, e, m) for s in selections for e in sets for m in ("exact_match", "nll_nats")]
        self.put(
            "edit_summaries", name, protocol=["single"] * len(cards), objective=["unlearn"] * len(cards), selection=[c[0] for c in cards],
            evaluation_set=[c[1] for c in cards], measure=[c[2] for c in cards], before=[50.0] * len(cards), cluster_count=[4] * len(cards),
            estimate=[left[c[0]] for c in cards], random_estimate=[50.0 if c[0].startswith("top") else None for c in cards],
        )  # fmt: skip
        pairs = [(s, c) for s in selections for c in self.names[1:4]]
        self.put(
            "edit_scores", name, protocol=["single"] * len(pairs), objective=["unlearn"] * len(pairs), selection=[s for s, _ in pairs],
            target=[self.names[0]] * len(pairs), evaluation_set=["controls"] * len(pairs), paragraph_id=[c for _, c in pairs],
            exact_match_before=[50] * len(pairs), exact_match=[int(left[s]) - self.names.index(c) for s, c in pairs],
        )  # fmt: skip
        runs = [("single", s, int(50 - left[s]) // 10) for s in selections] + [("never_memorized", "none", 7)]
        self.put(
            "edit_robustness", name, protocol=[r[0] for r in runs], objective=["unlearn"] * len(runs), selection=[r[1] for r in runs],
            target=[self.names[0]] * len(runs), probe=["relearning_steps"] * len(runs), after=[float(r[2]) for r in runs],
            is_censored=[r[2] == 7 for r in runs],
        )  # fmt: skip
        noise = [
            (r, h, f, g)
            for r, h in (("head", 0), ("head", 1), ("random", None))
            for f in (0.0, 0.5)
            for g in ("MP", "NMP")
        ]
        self.put(
            "edit_noise", name, region=[n[0] for n in noise], layer=[None if n[1] is None else 0 for n in noise], head=[n[1] for n in noise],
            strength=[n[2] for n in noise], paragraph_group=[n[3] for n in noise],
            exact_match_mean=[50.0 if not n[2] else {0: 10.0, 1: 40.0, None: 45.0}[n[1]] for n in noise],
        )  # fmt: skip


def published_world(folder: Path, **sizes: int) -> Home:
    """A published home with an undecorated report: every figure is left out, because drawing takes most of the time."""
    home = World(Home(folder).prepare(), **sizes).write()
    publish_catalog(home)
    checkpoint_id = latest_checkpoint(home) or ""
    write_omissions(home, checkpoint_id, {spec.name: "not drawn in this test." for spec in FIGURES})
    write_report(home, checkpoint_id, ReportSettings(), home.report)
    return home
