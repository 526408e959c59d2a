"""The output head in tiles: what scoring needs of the logits, without ever holding more than a tile of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from probes.errors import ProbeError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


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
    return model.base_model(input_ids=input_ids, use_cache=False)[0]


def token_facts(model: PreTrainedModel, hidden: Tensor, target_ids: Tensor, tile: int) -> TokenFacts:
    """Apply the output head and read each distribution at its target, `tile` tokens at a time.

    Args:
        model: gives the output head.
        hidden: [token, hidden].
        target_ids: the true next token, [token].
        tile: tokens per tile; logits of tile x vocabulary are the only large buffer.
    """
    import torch

    pieces = [
        _facts_of_logits(_logits(model, rows), targets)
        for rows, targets in zip(hidden.split(tile), target_ids.split(tile), strict=True)
    ]
    return TokenFacts(*(torch.cat(column) for column in zip(*pieces, strict=True)))


def _logits(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """Logits as transformers gives them to its decoding loop: computed in the model's dtype, read in float32."""
    return model.get_output_embeddings()(hidden).float()


def _facts_of_logits(logits: Tensor, target_ids: Tensor) -> tuple[Tensor, ...]:
    """Fields of `TokenFacts` from [token, vocabulary] logits, which are overwritten on the way."""
    import torch

    top, argmax_id = logits.max(dim=-1)
    logits -= top[:, None]  # now x = logit - top, so that exp cannot overflow
    target = logits.gather(1, target_ids[:, None])[:, 0]
    runner_up = logits.scatter(1, argmax_id[:, None], -torch.inf).amax(dim=-1)
    weight = logits.exp()
    total = weight.sum(dim=-1)
    mean = torch.linalg.vecdot(weight, logits) / total
    logits -= mean[:, None]
    variance = torch.linalg.vecdot(weight, logits.square_()) / total
    log_total = total.log()
    return target - log_total, argmax_id, -runner_up, mean - log_total, variance.sqrt()


def refuse_unusual_head(model: PreTrainedModel, token_ids: Tensor) -> None:
    """Refuse an architecture that does more to its logits than multiply hidden states by the output head.

    Some families cap or scale logits after the head; measuring without that would be silently wrong, so the model's
    own logits on the first tokens are compared with ours once.

    Args:
        model: the model to be measured.
        token_ids: [paragraph, position].

    Raises:
        ProbeError: the logits differ.
    """
    import torch

    probe = token_ids[:1, :4].to(model.device)
    reference = model(input_ids=probe, use_cache=False).logits
    ours = model.get_output_embeddings()(hidden_states(model, probe))
    if reference.shape != ours.shape or not torch.allclose(reference, ours, rtol=1e-3, atol=1e-3, equal_nan=True):
        raise ProbeError(
            f"{type(model).__name__} changes its logits after the output head, which scoring in tiles would miss; "
            "use a GPT-Neo, GPT-NeoX, GPT-2 or Llama model."
        )
