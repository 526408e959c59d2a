"""The output head in tiles: what scoring needs of the logits, without ever holding more than a tile of them.

A tile is some tokens by some of the vocabulary, small enough for the processor's cache. Maximum, log-sum-exp and the
moments of the log-probability are carried from tile to tile in float64, as in the online softmax of Milakov and
Gimelshein 2018 (arXiv 1805.02867).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ProbeError
from probes.forward.beginning import lead, with_beginning
from probes.forward.body import body
from probes.forward.fused import fused
from probes.forward.logits import HeadRule, logit_tiles

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

LOGIT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class TokenFacts:
    """What one next-token distribution says; every field is [token], float32 except `argmax_id` (int64).

    `logprob_mean` and `logprob_deviation` are those of log p(token) when the token is drawn from the distribution
    itself (Zhang et al. 2024, arXiv 2404.02936: mu and sigma of min-k %++); the entropy is minus that mean.
    """

    logprob_nats: Tensor
    argmax_id: Tensor
    margin: Tensor
    logprob_mean: Tensor
    logprob_deviation: Tensor


def hidden_states(model: PreTrainedModel, input_ids: Tensor) -> Tensor:
    """Input of the output head: [paragraph, position] ids to [paragraph, position, hidden]."""
    hidden: Tensor = body(model)(input_ids=with_beginning(model, input_ids), use_cache=False)[0]
    return hidden[:, lead(model) :]


def token_facts(model: PreTrainedModel, hidden: Tensor, target_ids: Tensor, tile: int) -> TokenFacts:
    """Apply the output head and read each distribution at its target, `tile` tokens at a time.

    Args:
        model: gives the output head.
        hidden: [token, hidden].
        target_ids: the true next token, [token].
        tile: tokens per tile; a tile spans a stretch of the vocabulary that suits the device.
    """
    import torch

    pieces = []
    for rows, targets in zip(hidden.split(tile), target_ids.split(tile), strict=True):
        top, moments = _Top(targets), _Moments(targets)
        for first_id, logits in logit_tiles(model, rows):
            best = logits.amax(dim=-1)
            top.add(logits, best, first_id)
            moments.add(logits, best)  # overwrites the logits, so it comes last
        pieces.append(_joined(top, moments))
    return TokenFacts(*(torch.cat(column) for column in zip(*pieces, strict=True)))


def greedy_ids(model: PreTrainedModel, hidden: Tensor, tile: int) -> tuple[Tensor, Tensor]:
    """Most likely next token and its margin over the runner-up, `tile` tokens at a time.

    Args:
        model: gives the output head.
        hidden: [token, hidden].
        tile: tokens per tile.

    Returns:
        Token ids (int64) and logit margins (float32), both [token].
    """
    import torch

    pieces = []
    for rows in hidden.split(tile):
        top = _Top(torch.zeros(len(rows), dtype=torch.int64, device=rows.device))
        for first_id, logits in logit_tiles(model, rows):
            top.add(logits, logits.amax(dim=-1), first_id)
        pieces.append((top.argmax_id, top.first - top.second))
    ids, margins = zip(*pieces, strict=True)
    return torch.cat(ids), torch.cat(margins)


def greedy_matches(model: PreTrainedModel, hidden: Tensor, target_ids: Tensor, tile: int) -> tuple[Tensor, Tensor]:
    """Whether each target is the most likely next token, and its NLL; `tile` tokens at a time.

    Args:
        model: gives the output head.
        hidden: [token, hidden].
        target_ids: [token].
        tile: tokens per tile.

    Returns:
        Truth values and NLL in nats (float64, float32 where the device has no other), both [token].
    """
    import torch

    pieces = []
    for rows, targets in zip(hidden.split(tile), target_ids.split(tile), strict=True):
        top, total = _Top(targets), _LogTotal(targets)
        for first_id, logits in logit_tiles(model, rows):
            best = logits.amax(dim=-1)
            top.add(logits, best, first_id)
            total.add(logits, best)  # overwrites the logits, so it comes last
        pieces.append((top.argmax_id == targets, total.nats() - top.target))
    hits, nll = zip(*pieces, strict=True)
    return torch.cat(hits), torch.cat(nll)


def token_scores(model: PreTrainedModel, hidden: Tensor, target_ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """NLL of each target, whether it is the most likely token, and the entropy, in nats.

    Args:
        model: gives the output head.
        hidden: [token, hidden].
        target_ids: [token].

    Returns:
        Three arrays [token]; NLL and entropy in float64 (float32 where the device has no other).
    """
    top, total = _Top(target_ids), _Entropy(target_ids)
    for first_id, logits in logit_tiles(model, hidden):
        best = logits.amax(dim=-1)
        top.add(logits, best, first_id)
        total.add(logits, best)  # overwrites the logits, so it comes last
    return total.nats() - top.target, top.argmax_id == target_ids, total.entropy_nats()


def nll_gradient(model: PreTrainedModel, hidden: Tensor, target_ids: Tensor) -> Tensor:
    """Gradient of each target's NLL with respect to the hidden state it is predicted from, [token, hidden].

    It is Σ p(id) · W[id] − W[target], summed stretch by stretch of the vocabulary, so no row of logits ever exists as
    a whole; what was summed before a larger logit turned up is scaled down (Milakov and Gimelshein 2018). Where a
    family scales or caps its logits, each term carries the slope of that.

    Args:
        model: gives the output head W.
        hidden: [token, hidden].
        target_ids: [token].
    """
    import torch

    head, rule = model.get_output_embeddings(), HeadRule.of(model)
    weight = head.weight
    top = hidden.new_full((len(hidden),), -torch.inf, dtype=torch.float32)
    total, mean = torch.zeros_like(top), torch.zeros_like(hidden, dtype=torch.float32)
    for first_id, logits in logit_tiles(model, hidden):
        known, top = top, torch.maximum(top, logits.amax(dim=-1))
        scale = (known - top).exp_()
        slope = rule.slope(logits)
        p = logits.sub_(top[:, None]).exp_()
        total = total.mul_(scale).add_(p.sum(dim=-1))
        p = p if slope is None else p.mul_(slope)
        mean.mul_(scale[:, None]).add_(p.to(weight.dtype) @ weight[first_id : first_id + logits.shape[1]])
    return mean.div_(total[:, None]).sub_(rule.target_rows(head, hidden, target_ids)).to(hidden.dtype)


class _Top:
    """The two largest logits so far, the id of the largest (the lowest on ties) and the logit of the target."""

    def __init__(self, target_ids: Tensor) -> None:
        import torch

        self.target_ids, self.argmax_id = target_ids, torch.zeros_like(target_ids)
        self.first, self.second, self.target = (
            torch.full_like(target_ids, -torch.inf, dtype=torch.float32) for _ in range(3)
        )

    def add(self, logits: Tensor, best: Tensor, first_id: int) -> None:
        """Take in [token, id] logits whose largest are `best` [token]; the logits stay as they are."""
        import torch

        inside = self.target_ids - first_id
        here = (inside >= 0) & (inside < logits.shape[1])
        found = logits.gather(1, inside.clamp(0, logits.shape[1] - 1)[:, None])[:, 0]
        self.target = torch.where(here, found, self.target)
        rows = (best > self.second).nonzero()[:, 0]  # finding the place is slow, and few rows need it
        if len(rows):
            self._add_rows(rows, logits[rows], first_id)

    def _add_rows(self, rows: Tensor, logits: Tensor, first_id: int) -> None:
        import torch

        value, index = logits.max(dim=-1)
        runner_up = logits.scatter_(1, index[:, None], -torch.inf).amax(dim=-1)
        first, second = self.first[rows], self.second[rows]
        ahead = value > first
        self.argmax_id[rows] = torch.where(ahead, index + first_id, self.argmax_id[rows])
        self.first[rows] = torch.maximum(first, value)
        self.second[rows] = torch.where(ahead, torch.maximum(first, runner_up), torch.maximum(second, value))


class _LogTotal:
    """Sum of exp(logit) over the vocabulary so far, relative to the largest logit so far."""

    def __init__(self, target_ids: Tensor) -> None:
        import torch

        exact = torch.float32 if target_ids.device.type == "mps" else torch.float64  # mps has no float64
        self.top = torch.full_like(target_ids, -torch.inf, dtype=torch.float32)
        self.total = torch.zeros_like(target_ids, dtype=exact)

    def add(self, logits: Tensor, best: Tensor) -> None:
        """Take in [token, id] logits whose largest are `best` [token]; the logits are overwritten."""
        import torch

        top = torch.maximum(self.top, best)
        self.total *= torch.where(self.top == -torch.inf, 0.0, self.top - top).exp()
        self.top = top
        logits -= top[:, None]
        self.total += logits.exp_().sum(dim=-1)

    def nats(self) -> Tensor:
        """Log of the sum, [token]."""
        return self.total.log() + self.top


class _Moments:
    """Sums over the vocabulary so far of w, w x and w x^2, where x = logit - largest logit so far and w = exp x."""

    def __init__(self, target_ids: Tensor) -> None:
        import torch

        exact = torch.float32 if target_ids.device.type == "mps" else torch.float64  # mps has no float64
        self.top = torch.full_like(target_ids, -torch.inf, dtype=torch.float32)
        self.sums = [torch.zeros_like(target_ids, dtype=exact) for _ in range(3)]

    def add(self, logits: Tensor, best: Tensor) -> None:
        """Take in [token, id] logits whose largest are `best` [token]; the logits are overwritten."""
        import torch

        top = torch.maximum(self.top, best)
        shift = torch.where(self.top == -torch.inf, 0.0, self.top - top).to(self.sums[0].dtype)
        self._shift(shift)
        self.top = top
        logits -= top[:, None]
        weight = logits.exp()
        for power, total in enumerate(self.sums):
            if power:
                weight *= logits
            total += weight.sum(dim=-1)

    def _shift(self, shift: Tensor) -> None:
        """Move the reference of x by `shift` [token]: x' = x + shift, w' = w exp(shift)."""
        zeroth, first, second = self.sums
        scale = shift.exp()
        self.sums = [
            scale * zeroth,
            scale * (first + shift * zeroth),
            scale * (second + 2 * shift * first + shift.square() * zeroth),
        ]


class _Entropy(_LogTotal):
    """Beside the sum of exp(x) that of x exp(x), x being the logit relative to the largest so far."""

    def __init__(self, target_ids: Tensor) -> None:
        import torch

        super().__init__(target_ids)
        self.first = torch.zeros_like(self.total)

    def add(self, logits: Tensor, best: Tensor) -> None:
        """Take in [token, id] logits whose largest are `best` [token]; the logits are overwritten."""
        import torch

        top = torch.maximum(self.top, best)
        shift = torch.where(self.top == -torch.inf, 0.0, self.top - top).to(self.total.dtype)
        self.top, scale = top, shift.exp()
        logits -= top[:, None]
        weight = logits.exp()
        self.first = scale * (self.first + shift * self.total) + torch.linalg.vecdot(weight, logits)
        self.total = scale * self.total + weight.sum(dim=-1)

    def entropy_nats(self) -> Tensor:
        """Entropy of the distribution, [token]."""
        return self.total.log() - self.first / self.total


def _joined(top: _Top, moments: _Moments) -> tuple[Tensor, ...]:
    """Fields of `TokenFacts` of one tile of tokens."""
    zeroth, first, second = moments.sums
    mean = first / zeroth
    log_total = zeroth.log()
    logprob = top.target - moments.top - log_total
    deviation = (second / zeroth - mean.square()).clamp_min(0).sqrt()
    return logprob.float(), top.argmax_id, top.first - top.second, (mean - log_total).float(), deviation.float()


def refuse_unusual_head(model: PreTrainedModel, token_ids: Tensor) -> None:
    """Refuse an architecture that does more to its logits than our head in tiles does.

    A multiplication or a cap that was missed would be silently wrong, so the model's own logits are compared with ours
    once, at every position of a whole paragraph, with the kernels and the dtype that are used.

    Args:
        model: the model to be measured.
        token_ids: [paragraph, position].

    Raises:
        ProbeError: the logits differ by more than 1e-4 (of logits beyond 10, by more than 1e-5 of the largest), or in
            half precision by more than four roundings.
    """
    import torch

    probe = token_ids[:1, : max(1, token_ids.shape[1] - 1)].to(model.device)  # the last token is never read
    with fused(model):  # both, or else the kernels' rounding would count as something done to the logits
        reference = model(input_ids=with_beginning(model, probe), use_cache=False).logits[0, lead(model) :].float()
        hidden = hidden_states(model, probe)[0]
    largest = float(reference.abs().nan_to_num().amax()) if reference.numel() else 0.0
    tolerance = max(LOGIT_TOLERANCE * max(1.0, largest / 10), 4 * torch.finfo(model.dtype).eps * largest)
    if not all(_is_same(reference, *stretch, tolerance) for stretch in logit_tiles(model, hidden)):
        raise ProbeError(
            f"{type(model).__name__} changes its logits after the output head in a way that scoring in tiles would "
            "miss; no number of it would be right, so it is not measured."
        )


def _is_same(reference: Tensor, first_id: int, logits: Tensor, tolerance: float) -> bool:
    """Whether [position, id] logits from `first_id` on are those of the model, [position, token]."""
    import torch

    theirs = reference[:, first_id : first_id + logits.shape[1]]
    return theirs.shape == logits.shape and torch.allclose(theirs, logits, rtol=0, atol=tolerance, equal_nan=True)
