"""Do memorized and other paragraphs pull the same weights, and the same activations, in the same direction?

P1 (Stoehr et al. 2024, arXiv 2403.19851, §5.2) compares the gradients of both groups per component. Here every
cosine stands beside a jackknife interval and beside the cosine of groups whose labels were dealt at random.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

from probes.architectures import Adapter, adapter_for
from probes.errors import ProbeError
from probes.forward.beginning import lead
from probes.forward.capture import batches, capture, continuation_weights, rows_per_pass
from probes.forward.inputs import readable_paragraphs
from probes.gradients.parameters import all_maps, components, entries_of, weight_gradient

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray
    from torch import Tensor, nn

_WRITTEN = {"W_Q": "q", "W_K": "k", "W_V": "v", "W_O": "attention_out", "W_out": "mlp_out"}


class _Sums(NamedTuple):
    """Gradients of one map over all paragraphs: of its weight, [output, input], of its output, [position, output]."""

    weight: Tensor
    output: Tensor


class _Vectors(NamedTuple):
    """What one component's cosines are taken of."""

    label: tuple[str, int, str]
    has_heads: bool
    folds: Tensor  # [fold of the first group, then of the second; head; entry]


@dataclass(frozen=True)
class Cosine:
    """A cosine with its jackknife interval, and with labels dealt at random: mean, smallest and largest deal."""

    cosine: float | None
    lower: float | None = None
    upper: float | None = None
    placebo: float | None = None
    placebo_lower: float | None = None
    placebo_upper: float | None = None


def gradient_cosines(
    model: nn.Module, first_ids: Any, second_ids: Any, prefix_length: int = 50, batch_size: int = 32, folds: int = 4
) -> pl.DataFrame:
    """Cosine between the mean gradients of two groups (MPs and NMPs), of every component's weights and activations.

    Args:
        model: causal language model of a supported architecture; left as found.
        first_ids: token ids of one group, [paragraph, position].
        second_ids: of the other.
        prefix_length: tokens that are given; the loss is the mean NLL of the others.
        batch_size: paragraphs per backward at most.
        folds: parts of each group for interval and placebo. Memory: 2 × folds copies of the blocks' weights.

    Returns:
        space (parameter or activation), layer, component (W_Q … W_out; q, k, v, attention_out, mlp_out), head (null
        where there are none), cosine (in [-1, 1]; null where a gradient vanishes), lower, upper (95 %, delete-one-fold
        jackknife), placebo, placebo_lower, placebo_upper (mean and range over all even deals of the folds to two
        groups). Intervals and placebo are null where a group has fewer than two paragraphs.

    Raises:
        ProbeError: unsupported architecture, paragraphs that cannot be split, an empty group.
    """
    import polars as pl

    adapter = adapter_for(model)
    first, second = (readable_paragraphs(model, ids, prefix_length) for ids in (first_ids, second_ids))
    if not len(first) or not len(second):
        raise ProbeError("a group holds no paragraphs, so its mean loss has no gradient; pass at least one.")
    count = min(folds, len(first), len(second))
    parts = [ids[fold::count] for ids in (first, second) for fold in range(count)]
    sums = [_summed(adapter, part, prefix_length, batch_size) for part in parts]
    rows = [row for vectors in _vectors(adapter, sums, prefix_length) for row in _rows(vectors)]
    columns = ("space", "layer", "component", "head", *Cosine.__dataclass_fields__)
    types = {"space": pl.String, "layer": pl.Int32, "component": pl.String, "head": pl.Int32}
    return pl.DataFrame(rows, schema={name: types.get(name, pl.Float64) for name in columns}, orient="row")


def _summed(adapter: Adapter, ids: Tensor, prefix_length: int, batch_size: int) -> dict[nn.Module, _Sums]:
    """Gradients of the sum of the paragraphs' losses; a mean points the same way."""
    total: dict[nn.Module, _Sums] = {}
    for batch in batches(ids, rows_per_pass(adapter, ids, batch_size)):
        weights = continuation_weights(batch, prefix_length)
        for module, captured in capture(adapter, batch, prefix_length, weights, all_maps(adapter)).items():
            gradient, output = weight_gradient(captured, slice(None)), captured.gradient.float().sum(0)
            if module in total:
                total[module].weight.add_(gradient)
                total[module].output.add_(output)
            else:
                total[module] = _Sums(gradient, output)
    return total


def _vectors(adapter: Adapter, sums: list[dict[nn.Module, _Sums]], prefix_length: int) -> Iterator[_Vectors]:
    """Weights of every component, then what q, k, v, attention and MLP write at the prefix positions."""
    import torch

    before = lead(adapter.model)
    for layer in range(adapter.layer_count):
        for name, parts in components(adapter, layer):
            of_weights = [entries_of([(part, one[part.module].weight) for part in parts]) for one in sums]
            yield _Vectors(("parameter", layer, name), parts[0].is_per_head, torch.stack(of_weights))
            if name in _WRITTEN:
                outputs = torch.stack([one[parts[0].module].output[before : before + prefix_length] for one in sums])
                has_heads = parts[0].heads_on == "output" and parts[0].is_per_head
                heads = parts[0].split(outputs) if has_heads else outputs[:, :, None]
                yield _Vectors(("activation", layer, _WRITTEN[name]), has_heads, heads.transpose(1, 2).flatten(2))


def _rows(vectors: _Vectors) -> Iterator[tuple[Any, ...]]:
    heads = vectors.folds.transpose(0, 1).double()  # [head, fold, entry]
    for head, products in enumerate((heads @ heads.transpose(1, 2)).cpu().numpy()):
        found = cosine_of_folds(products)
        yield (*vectors.label, head if vectors.has_heads else None, *vars(found).values())


def cosine_of_folds(products: NDArray[Any]) -> Cosine:
    """Cosine of two groups from the inner products of their folds' sums.

    Args:
        products: inner products between folds, first the folds of one group, then those of the other, [fold, fold].
    """
    import numpy as np
    from scipy.stats import t

    count = len(products) // 2
    group = np.repeat(np.eye(2), count, axis=1)  # [group, fold]
    estimate = _cosine(products, *group)
    if count < 2 or estimate is None:
        return Cosine(estimate)
    kept = 1 - np.tile(np.eye(count), 2)  # [left out, fold]
    without = np.array([_cosine(products, *(group * row)) for row in kept], dtype=float)
    error = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum()) * t.ppf(0.975, count - 1)
    dealt = np.array([_cosine(products, side, 1 - side) for side in _deals(count)], dtype=float)
    low, high = max(-1.0, estimate - error), min(1.0, estimate + error)
    return Cosine(estimate, *(_known(x) for x in (low, high, dealt.mean(), dealt.min(), dealt.max())))


def _deals(count: int) -> Iterator[NDArray[Any]]:
    """Every choice of half of the folds of both groups, as membership of a fold in the one new group."""
    import numpy as np

    halves = list(combinations(range(count), count // 2))
    for one in halves:
        for other in halves:
            side = np.zeros(2 * count)
            side[[*one, *(count + fold for fold in other)]] = 1
            yield side


def _known(value: float) -> float | None:
    return None if value != value else float(value)


def _cosine(products: NDArray[Any], one: NDArray[Any], other: NDArray[Any]) -> float | None:
    """Cosine of two weighted sums of folds; None where one of them vanishes."""
    size = (one @ products @ one) * (other @ products @ other)
    return None if size <= 0 else float(max(-1.0, min(1.0, one @ products @ other / size**0.5)))
