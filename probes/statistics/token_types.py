"""Tokens as a random sample of tokens: does an effect of rarity hold over token types, or is it a few tokens' own?

Rarity is a property of the token type, and a handful of common types make up most of a text. If types merely differ,
for reasons that have nothing to do with rarity, then treating types as fixed finds "effects of rarity" most of the
time, however the paragraphs are clustered: the language-as-fixed-effect fallacy (Clark 1973). So every effect of
rarity is also estimated with types as random effects: a random-effects meta-regression of type means on rarity
(DerSimonian and Laird's variance; the wider of Knapp and Hartung's interval and one with HC2 errors and Bell and
McCaffrey's degrees of freedom, which know that a few common types carry most of the weight).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# A slope and an intercept over fewer types than this leave nothing to judge them by.
LEAST_TYPE_COUNT = 5


@dataclass(frozen=True)
class TokenTest:
    """Slope over token types with 95 % interval and two-sided p value, each [column]; NaN where not estimable."""

    estimate: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    p_value: np.ndarray
    type_count: int


@dataclass(frozen=True)
class WeightedTypes:
    """Weighted means by type: x [type], y [type, column], weight sums [type], variance within types [column]."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    noise: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, x: np.ndarray, types: np.ndarray, weights: np.ndarray) -> WeightedTypes:
        """Weighted means by token type, [type]."""
        from scipy.sparse import csr_array

        _, number = np.unique(types, return_inverse=True)
        member = csr_array((weights, (number, np.arange(len(number)))))
        total = member.sum(axis=1)
        means = (member @ values) / total[:, None]
        within = weights @ (values - means[number]) ** 2
        free = weights.sum() - len(total)
        return cls((member @ x) / total, means, total, within / max(free, 1.0))


def token_random_effects(values: np.ndarray, x: np.ndarray, types: np.ndarray, weights: np.ndarray) -> TokenTest:
    """Slope of `values` on `x` with token types as random effects.

    Args:
        values: outcomes, adjusted for everything held constant, [token, column].
        x: rarity, adjusted alike, [token].
        types: token ids, [token].
        weights: what each token counts, [token]; 1 / near duplicates of its paragraph.
    """

    of_type = WeightedTypes.of(values, x, types, weights)
    count, columns = of_type.y.shape
    if count < LEAST_TYPE_COUNT or not np.ptp(of_type.x) > 1e-9:
        nothing = np.full(columns, np.nan)
        return TokenTest(nothing, nothing, nothing, nothing, count)
    noise = np.maximum(of_type.noise, 1e-12 * np.maximum(np.square(of_type.y).max(axis=0), 1e-30))
    sampling = noise / of_type.weight[:, None]  # variance of each type's mean, [type, column]
    between = variance_between(of_type, sampling)
    slope, half, p_value = _regress(of_type, 1 / (sampling + between))
    return TokenTest(slope, slope - half, slope + half, p_value, count)


def _moments(x: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centred x [type, column] and its weighted sum of squares [column] under weights [type, column]."""
    centre = (weight * x[:, None]).sum(axis=0) / weight.sum(axis=0)
    centred = x[:, None] - centre
    return centred, (weight * centred**2).sum(axis=0)


def variance_between(of_type: WeightedTypes, sampling: np.ndarray) -> np.ndarray:
    """Variance of types around the line beyond sampling (DerSimonian and Laird's moments), at least 0; [column]."""
    weight = 1 / sampling
    centred, square = _moments(of_type.x, weight)
    residual, _ = _residuals(of_type, weight, centred, square)
    excess = (weight * residual**2).sum(axis=0) - (len(of_type.x) - 2)
    total = weight.sum(axis=0)
    explained = (weight**2).sum(axis=0) / total + (weight**2 * centred**2).sum(axis=0) / square
    return np.maximum(0.0, excess / (total - explained))


def _residuals(
    of_type: WeightedTypes, weight: np.ndarray, centred: np.ndarray, square: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Residuals [type, column] and slopes [column] of weighted lines."""
    middle = (weight * of_type.y).sum(axis=0) / weight.sum(axis=0)
    slope = (weight * centred * of_type.y).sum(axis=0) / square
    return of_type.y - middle - slope * centred, slope


def _regress(of_type: WeightedTypes, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slopes, half widths of their 95 % intervals and p values, the wider of two, each [column]."""
    from scipy.stats import t

    centred, square = _moments(of_type.x, weight)
    residual, slope = _residuals(of_type, weight, centred, square)
    free = len(of_type.x) - 2
    knapp_hartung = np.sqrt(np.maximum((weight * residual**2).sum(axis=0) / free, 1.0) / square)
    leverage = weight / weight.sum(axis=0) + weight * centred**2 / square
    part = weight * centred**2 / square**2 / np.maximum(1 - leverage, 1e-6)  # what a type adds per unit of variance
    robust = np.sqrt((part * weight * residual**2).sum(axis=0))
    tests = ((knapp_hartung, np.full(slope.shape, float(free))), (robust, _degrees(weight, centred, square, part)))
    half = np.max([t.ppf(0.975, degrees) * error for error, degrees in tests], axis=0)
    ratios = [np.divide(np.abs(slope), error, out=np.full(slope.shape, np.nan), where=error > 0) for error, _ in tests]
    p_value = np.max([2 * t.sf(ratio, degrees) for ratio, (_, degrees) in zip(ratios, tests, strict=True)], axis=0)
    return slope, half, p_value


def _degrees(weight: np.ndarray, centred: np.ndarray, square: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Bell and McCaffrey's degrees of freedom of a slope with HC2 errors, [column].

    With d what each type adds and s its rows of the fitted directions, the matrix is diag(d) − s sᵀ; its trace and
    square follow without writing it down.
    """
    fitted = np.stack([np.sqrt(weight / weight.sum(axis=0)), np.sqrt(weight / square) * centred], axis=-1)
    shared = np.sqrt(part)[..., None] * fitted
    own = (shared**2).sum(axis=-1)
    cross = np.einsum("tci,tcj->cij", shared, shared)
    trace = (part - own).sum(axis=0)
    squares = (part**2 - 2 * part * own).sum(axis=0) + (cross**2).sum(axis=(1, 2))
    return np.asarray(np.maximum(trace**2 / squares, 1.0))
