"""The panel behind `trigger_effect`: tokens within paragraphs within clusters, and what is held constant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from probes.errors import ProbeError

COLUMNS = (
    "paragraph_id", "position", "em_drop", "delta_nll_nats", "surprisal_bits", "token_nll_nats", "duplication_count",
    "is_memorized", "near_duplicate_cluster",
)  # fmt: skip
_REPLACEMENT = "replacement_surprisal_bits"
NLL_BINS = 8
# Where what takes a token's place is as rare as the token by design (frequency-matched), it is no covariate: holding it
# fixed would hold the token's own rarity fixed.
MOST_SHARED = 0.25
_TINY = 1e-9  # share of a regressor's square that controls must leave for its effect to be identified


@dataclass(frozen=True)
class Panel:
    """Tokens sorted by paragraph and position; every array is [token].

    Attributes:
        outcomes: em_drop and delta_nll_nats, centred within paragraphs.
        rarity: surprisal, standardised within paragraphs (0 where it does not vary).
        token_nll: the token's NLL, centred within paragraphs.
        position: prefix position.
        paragraph: number of the paragraph.
        cluster: number of the near-duplicate cluster.
        is_memorized: whether the paragraph is memorized.
        duplication_doublings: log2 of copies (at least one, also where they are unknown) minus its mean over clusters.
        token_id: token type, or None where the frame does not tell.
        nll_bin: which eighth of all tokens its NLL falls in: a threshold is no line.
        replacement_rarity: mean surprisal of what took its place, centred within paragraphs; None where that is not
            known, or shares more than a quarter of its variation with the token's own rarity.
        root_weight: square root of 1 / paragraphs of the cluster: a cluster weighs one, however many near duplicates.
    """

    outcomes: dict[str, np.ndarray]
    rarity: np.ndarray
    token_nll: np.ndarray
    position: np.ndarray
    paragraph: np.ndarray
    cluster: np.ndarray
    is_memorized: np.ndarray
    duplication_doublings: np.ndarray
    token_id: np.ndarray | None
    nll_bin: np.ndarray
    replacement_rarity: np.ndarray | None
    root_weight: np.ndarray

    @property
    def cluster_count(self) -> int:
        """Near-duplicate clusters."""
        return int(self.cluster.max()) + 1

    def scaled(self, values: np.ndarray, axis: int = -1) -> np.ndarray:
        """`values` times the root weights along the token axis."""
        weight = self.root_weight if axis == -1 else self.root_weight[:, None]
        return values * weight

    def centred(self, values: np.ndarray) -> np.ndarray:
        """[token, ...] minus the mean of each paragraph."""
        counts = np.bincount(self.paragraph).astype(np.float64)
        starts = np.concatenate([[0], np.cumsum(counts[:-1])]).astype(np.int64)
        sums = np.add.reduceat(values, starts, axis=0)
        return values - (sums / counts.reshape(-1, *[1] * (values.ndim - 1)))[self.paragraph]

    def shuffles(self, count: int, seed: int) -> np.ndarray:
        """Orders that shuffle tokens within paragraphs, [permutation, token]; near duplicates are shuffled alike."""
        rng = np.random.default_rng(seed)
        shape = (self.cluster_count, int(self.position.max()) + 1)
        keys = (rng.random(shape)[self.cluster, self.position] for _ in range(count))
        return np.stack([np.lexsort((key, self.paragraph)) for key in keys])


def prepare_panel(frame: pl.DataFrame) -> Panel:
    """Sort, number and centre the rows of the view `triggers`.

    Raises:
        ProbeError: a column is missing or nothing was measured.
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        raise ProbeError(f"the trigger frame lacks {', '.join(missing)}; give rows of the view triggers.")
    token = [name for name in ("token_id", _REPLACEMENT) if name in frame.columns]
    needed = [name for name in (*COLUMNS, *token[:1]) if name != "duplication_count"]
    kept = frame.select(*COLUMNS, *token).drop_nulls(needed).sort("paragraph_id", "position")
    if kept.is_empty():
        raise ProbeError(
            "the trigger frame has no token with both an outcome and a token NLL; perturb paragraphs first."
        )
    of_paragraph = kept.group_by("paragraph_id", maintain_order=True).first()
    sizes = of_paragraph.select(1 / pl.len().over("near_duplicate_cluster")).to_series().to_numpy()
    doublings = of_paragraph["duplication_count"].cast(pl.Int64).fill_null(1).clip(lower_bound=1).log(2).to_numpy()
    doublings = doublings - np.average(doublings, weights=sizes)
    paragraph = kept["paragraph_id"].rle_id().to_numpy().astype(np.int64)
    _, cluster = np.unique(kept["near_duplicate_cluster"].to_numpy(), return_inverse=True)
    by = pl.col("surprisal_bits")
    z = ((by - by.mean()) / by.std(ddof=0)).over("paragraph_id").fill_nan(0).replace([np.inf, -np.inf], 0)
    names = ("em_drop", "delta_nll_nats", "token_nll_nats")
    within = {name: (pl.col(name).cast(pl.Float64) - pl.col(name).mean()).over("paragraph_id") for name in names}
    centred = kept.select(rarity=z, **within)
    return Panel(
        {name: centred[name].to_numpy() for name in names[:2]},
        centred["rarity"].to_numpy(),
        centred["token_nll_nats"].to_numpy(),
        kept["position"].to_numpy().astype(np.int64),
        paragraph,
        cluster,
        kept["is_memorized"].to_numpy().astype(bool),
        doublings[paragraph],
        kept["token_id"].to_numpy() if "token_id" in kept.columns else None,
        _eighths(kept["token_nll_nats"].to_numpy(), sizes[paragraph]),
        _replacement_rarity(kept, centred["rarity"].to_numpy()),
        np.sqrt(sizes)[paragraph],
    )


def _eighths(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which eighth of the weight lies below each value, [token]; equal values fall together, copies weigh as one."""
    distinct, place = np.unique(values, return_inverse=True)
    of_value = np.bincount(place, weights, minlength=len(distinct))
    below = (np.cumsum(of_value) - of_value) / of_value.sum()
    return np.floor(NLL_BINS * below + _TINY).astype(np.int64)[place]


def _replacement_rarity(kept: pl.DataFrame, rarity: np.ndarray) -> np.ndarray | None:
    """Surprisal of the replacements, centred within paragraphs, [token]; None where it is no covariate."""
    if _REPLACEMENT not in kept.columns or kept[_REPLACEMENT].null_count():
        return None
    value = (
        kept.select((pl.col(_REPLACEMENT) - pl.col(_REPLACEMENT).mean()).over("paragraph_id")).to_series().to_numpy()
    )
    if not value.any():
        return None
    shared = float(value @ rarity) ** 2 / max(float(value @ value) * float(rarity @ rarity), _TINY)
    return value if shared <= MOST_SHARED else None


@dataclass(frozen=True)
class ControlBasis:
    """Everything held constant, as an orthonormal basis of the weighted, centred controls, [token, control]."""

    basis: np.ndarray

    @classmethod
    def of(cls, panel: Panel, adjustment: str) -> ControlBasis:
        """Controls of an adjustment: paragraph, position, token_nll, or full (position, token NLL and
        the rarity of what took its place). Token NLL enters as a line and in eighths.

        Controls are separate for memorized paragraphs and the others and may change with duplication, so that no
        profile of position or likelihood stands in for rarity or for its interactions.
        """
        groups = [panel.is_memorized.astype(np.float64), (~panel.is_memorized).astype(np.float64)]
        doublings = panel.duplication_doublings
        columns = []
        if adjustment in ("position", "full"):
            dummies = (panel.position[:, None] == np.unique(panel.position)).astype(np.float64)
            columns += [panel.centred(dummies * group[:, None]) for group in groups]
            columns.append(panel.centred(panel.position * doublings)[:, None])
        if adjustment in ("token_nll", "full"):
            columns += [(panel.token_nll * factor)[:, None] for factor in (*groups, doublings)]
            bins = (panel.nll_bin[:, None] == np.unique(panel.nll_bin)).astype(np.float64)
            columns += [panel.centred(bins * group[:, None]) for group in groups]
        if adjustment == "full" and panel.replacement_rarity is not None:
            columns += [(panel.replacement_rarity * factor)[:, None] for factor in (*groups, doublings)]
        controls = np.concatenate([np.empty((len(panel.rarity), 0)), *columns], axis=1)
        return cls(_orthonormal(panel.scaled(controls, axis=-2)))

    def residual(self, values: np.ndarray) -> np.ndarray:
        """What the controls leave of weighted [token, ...]."""
        return values - self.basis @ (self.basis.T @ values)

    def identifies(self, columns: np.ndarray) -> bool:
        """Whether the controls leave every direction of [token, coefficient] some variation of its own."""
        left = self.residual(columns)
        gram, before = left.T @ left, np.diag(columns.T @ columns)
        if not (before > 0).all():
            return False
        scaled = gram / np.sqrt(before[:, None] * before[None])
        return bool(np.linalg.eigvalsh(scaled).min() > _TINY)

    def coefficients(self, ys: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Least-squares coefficients of many designs at once (Frisch and Waugh).

        Args:
            ys: weighted outcomes, [token, outcome].
            columns: weighted designs, [permutation, token, coefficient].

        Returns:
            [permutation, coefficient, outcome].
        """
        flat = np.moveaxis(columns, 1, 0)  # [token, permutation, coefficient]
        explained = np.tensordot(self.basis, flat, axes=(0, 0))
        gram = np.einsum("tkc,tkd->kcd", flat, flat) - np.einsum("bkc,bkd->kcd", explained, explained)
        moment = np.moveaxis(np.tensordot(self.residual(ys), flat, axes=(0, 0)), 0, 2)
        return np.linalg.solve(gram, moment)

    def residual_square(self, y: np.ndarray, columns: np.ndarray | None) -> float:
        """Sum of squares that controls and [token, coefficient] leave of [token]."""
        residual = self.residual(y)
        if columns is None:
            return float(residual @ residual)
        left = self.residual(columns)
        coefficients = np.linalg.lstsq(left, residual, rcond=None)[0]
        residual = residual - left @ coefficients
        return float(residual @ residual)


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the column space; collinear columns (positions add up to one) are dropped."""
    if not columns.shape[1]:
        return columns
    left, singular, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, singular > singular.max(initial=0) * 1e-10]
