"""The score card of a run: what was forgotten, what else went with it, and how shallow the forgetting is.

Every number is also read from the unedited model, so that each row holds its before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from probes.editing.readout import Readout, read_out

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

TARGETS, CONTROLS = "targets", "controls"
SETS = (TARGETS, "near_duplicates", "held_out_targets", "other_memorized", CONTROLS, "unrelated")
WATCHED = (TARGETS, CONTROLS)

SCORE_SCHEMA: dict[str, Any] = {
    "evaluation_set": pl.String,
    "paragraph": pl.String,
    "exact_match_before": pl.Int32,
    "exact_match": pl.Int32,
    "replacement_match_before": pl.Int32,
    "replacement_match": pl.Int32,
    "nll_before_nats": pl.Float64,
    "nll_nats": pl.Float64,
    "logprob_before_nats": pl.Float64,
    "logprob_nats": pl.Float64,
}


@dataclass(frozen=True)
class Passages:
    """Paragraphs with names: `token_ids` [paragraph, position]."""

    names: tuple[str, ...]
    token_ids: Tensor

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Subject:
    """What one run edits and what it is scored on.

    `replacements` [target, position] are the targets' prefixes followed by what is to be written instead (the PMP's
    continuation); empty where there are none. `others` are the evaluation sets besides the targets, by name.
    """

    label: str
    protocol: str
    targets: Passages
    replacements: Tensor
    others: dict[str, Passages]


@dataclass(frozen=True)
class Ruler:
    """How paragraphs are read: prefix, sampling temperatures, and how prefixes are disturbed."""

    prefix_length: int = 50
    temperatures: tuple[float, ...] = (1.0, 0.7)
    perturbed_prefixes: int = 4
    shorter_by: int = 10
    longer_by: int = 10
    seed: int = 1


@dataclass(frozen=True)
class Reading:
    """Everything read at one moment, by evaluation set; `replaced` reads the targets against their replacements."""

    sets: dict[str, Readout]
    replaced: Readout | None = None
    robustness: dict[str, float] = field(default_factory=dict)


def read_subject(
    model: PreTrainedModel, subject: Subject, ruler: Ruler, names: tuple[str, ...] = SETS, is_full: bool = True
) -> Reading:
    """Read the named evaluation sets of a subject in one go, under the weights as they are.

    Args:
        model: the model.
        subject: targets and other sets.
        ruler: how to read.
        names: sets to read.
        is_full: also read the robustness of the targets.
    """
    import torch

    sets = {TARGETS: subject.targets, **subject.others}
    present = [name for name in names if name in sets and len(sets[name])]
    ids = [sets[name].token_ids for name in present]
    replaced = subject.replacements if len(subject.replacements) else subject.targets.token_ids[:0]
    everything = read_out(model, torch.cat([*ids, replaced]), ruler.prefix_length, ruler.temperatures)
    ends = np.cumsum([0, *(len(rows) for rows in ids)])
    split = {name: everything.rows(slice(*ends[i : i + 2])) for i, name in enumerate(present)}
    tail = everything.rows(slice(ends[-1], None)) if len(replaced) else None
    robustness = _robustness(model, subject.targets.token_ids, split[TARGETS], ruler) if is_full else {}
    return Reading(split, tail, robustness)


def perturbed(token_ids: Tensor, prefix_length: int, copies: int, seed: int) -> Tensor:
    """Copies of paragraphs, each with one random prefix token (not the first) replaced by one of another paragraph's.

    Args:
        token_ids: [paragraph, position].
        prefix_length: tokens of the prefix.
        copies: per paragraph.
        seed: the draws depend on it and on the ids alone.

    Returns:
        [paragraph × copy, position].
    """
    import torch

    rows = token_ids.repeat_interleave(copies, dim=0).clone()
    for index, row in enumerate(rows.numpy()):
        rng = np.random.default_rng([seed, index % copies, *row.tolist()])
        place = int(rng.integers(1, prefix_length))
        pool = np.setdiff1d(row[:prefix_length], row[place])
        rows[index, place] = torch.tensor(int(rng.choice(pool)) if len(pool) else int(row[place]))
    return rows


def _robustness(model: PreTrainedModel, ids: Tensor, plain: Readout, ruler: Ruler) -> dict[str, float]:
    """Shares of the continuation still recited under other prompts, means over the targets, by kind of probe."""
    found: dict[str, float] = {}
    length = ids.shape[1] - ruler.prefix_length
    if ruler.perturbed_prefixes:
        rows = perturbed(ids.cpu(), ruler.prefix_length, ruler.perturbed_prefixes, ruler.seed)
        match = read_out(model, rows, ruler.prefix_length).exact_match
        found["perturbed_prefix"] = float(match.mean() / length)
    if 0 < ruler.shorter_by < ruler.prefix_length:
        cut = ruler.prefix_length - ruler.shorter_by
        found["shorter_prefix"] = float(read_out(model, ids[:, ruler.shorter_by :], cut).exact_match.mean() / length)
    if 0 < ruler.longer_by < length:
        found["longer_prefix"] = float(plain.match_after(ruler.longer_by).mean() / (length - ruler.longer_by))
    for index, temperature in enumerate(ruler.temperatures):
        chance = np.exp(plain.logprob_nats[:, index]).mean()
        found[f"sampled_at_{temperature:g}"] = float(chance)
    return found


def score_frame(subject: Subject, before: Reading, after: Reading) -> pl.DataFrame:
    """One row per evaluation set and paragraph: before and after, columns of SCORE_SCHEMA."""
    sets = {TARGETS: subject.targets, **subject.others}
    rows = [
        row
        for name, new in after.sets.items()
        for row in _set_rows(name, sets[name].names, before.sets[name], new, before.replaced, after.replaced)
    ]
    return pl.DataFrame(rows, schema=SCORE_SCHEMA)


def _set_rows(
    name: str,
    names: tuple[str, ...],
    old: Readout,
    new: Readout,
    old_replaced: Readout | None,
    new_replaced: Readout | None,
) -> Iterator[dict[str, Any]]:
    has_replacement = name == TARGETS and new_replaced is not None and old_replaced is not None
    for index, paragraph in enumerate(names):
        yield {
            "evaluation_set": name,
            "paragraph": paragraph,
            "exact_match_before": int(old.exact_match[index]),
            "exact_match": int(new.exact_match[index]),
            "replacement_match_before": int(old_replaced.exact_match[index]) if has_replacement else None,  # type: ignore[union-attr]
            "replacement_match": int(new_replaced.exact_match[index]) if has_replacement else None,  # type: ignore[union-attr]
            "nll_before_nats": float(old.mean_nll_nats[index]),
            "nll_nats": float(new.mean_nll_nats[index]),
            "logprob_before_nats": float(old.logprob_nats[index, 0]),
            "logprob_nats": float(new.logprob_nats[index, 0]),
        }


def means(scores: pl.DataFrame) -> pl.DataFrame:
    """One row per evaluation set of what `score_frame` returns: means over its paragraphs."""
    return scores.group_by("evaluation_set", maintain_order=True).agg(
        pl.col("exact_match_before", "exact_match", "replacement_match_before", "replacement_match").mean(),
        pl.col("nll_before_nats", "nll_nats").mean(),
        paragraph_count=pl.len().cast(pl.Int32),
    )
