"""Outcome of every measurement on a small model of a family, each against transformers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import AutoConfig, PreTrainedModel

from probes.architectures import FAMILIES, adapter_for
from probes.architectures.refused import why_refused
from probes.attention.weights import attention_array, prefix_attention
from probes.checkpoints.inspect import lacks_of_text
from probes.editing.readout import read_out
from probes.errors import ProbeError
from probes.gradients.parameters import parameter_gradients
from probes.interventions.hooks import activation_means
from probes.interventions.patching import PATCHABLE, activation_patching
from probes.interventions.sweep import Intervention, outcomes
from probes.perturbation.sweep import sweep
from probes.scoring.generation import greedy_continuations
from probes.scoring.screening import screen_paragraphs
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.every_family import VOCABULARY, tiny_model

PREFIX, LENGTH = 8, 16
MEASURES = ("scores", "generation", "perturbation", "attention", "gradients", "patching", "interventions", "edits")


@dataclass(frozen=True)
class Outcome:
    """Measures that agree with transformers, in the order of MEASURES, or one sentence why none is made."""

    agrees: tuple[str, ...] = ()
    sentence: str = ""


def outcome(model_type: str) -> Outcome:
    """What a checkpoint of the family gets."""
    if reason := why_refused(model_type):
        return Outcome(sentence=reason)
    model = tiny_model(model_type)
    if model is None and _is_more_than_text(model_type):
        return Outcome(sentence="keeps the sizes of its text part apart, as models that read more than text do")
    if model is None:
        return Outcome(sentence="not tried: no model of a few thousand parameters can be made of its class alone")
    ids, written = _paragraphs(model)
    measures = MEASURES if model_type in FAMILIES else MEASURES[:3]
    return Outcome(tuple(name for name in measures if _agrees(name, model, ids, written)))


def _is_more_than_text(model_type: str) -> bool:
    """Whether the product refuses the family's own configuration."""
    try:
        return lacks_of_text(AutoConfig.for_model(model_type)) is not None
    except Exception:  # a configuration that its own defaults do not satisfy
        return False


def _agrees(name: str, model: PreTrainedModel, ids: torch.Tensor, written: torch.Tensor) -> bool:
    try:
        return bool(globals()[f"_{name}"](model, ids, written))
    except (ProbeError, RuntimeError, AttributeError):
        return False


def _logits(model: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(ids, use_cache=False).logits.float()


def _paragraphs(model: PreTrainedModel) -> tuple[torch.Tensor, torch.Tensor]:
    """Random prefixes, the model's own continuation spoiled later in each row, and that continuation."""
    ids = torch.randint(2, VOCABULARY, (3, LENGTH), generator=torch.Generator().manual_seed(3))
    for row in range(3):
        written = _greedy(model, ids[:, :PREFIX])
        ids[row, PREFIX : PREFIX + 4 * row] = written[row, : 4 * row]
    return ids, _greedy(model, ids[:, :PREFIX])


def _greedy(model: PreTrainedModel, prefixes: torch.Tensor) -> torch.Tensor:
    """transformers' own greedy decoding, which reads everything again at each token."""
    written = model.generate(
        prefixes, attention_mask=torch.ones_like(prefixes), max_new_tokens=LENGTH - PREFIX, do_sample=False,
        eos_token_id=None, use_cache=False,
    )  # fmt: skip
    return written[:, PREFIX:]


def _nll(model: PreTrainedModel, ids: torch.Tensor) -> np.ndarray:
    """Mean NLL of each continuation, [paragraph]."""
    logp = _logits(model, ids)[:, PREFIX - 1 : -1].log_softmax(-1)
    return -logp.gather(2, ids[:, PREFIX:, None])[..., 0].mean(1).numpy()


def _match(ids: torch.Tensor, written: torch.Tensor) -> list[int]:
    return (written == ids[:, PREFIX:]).long().cumprod(1).sum(1).tolist()


def _scores(model: PreTrainedModel, ids: torch.Tensor, written: torch.Tensor) -> bool:
    scores = score_paragraphs(model, ids, PREFIX).paragraphs
    screened = screen_paragraphs(model, ids, PREFIX)["exact_match"].to_list()
    is_close = np.allclose(scores["continuation_nll_nats"], _nll(model, ids), rtol=1e-5, atol=1e-5)
    return is_close and scores["exact_match"].to_list() == _match(ids, written) == screened


def _generation(model: PreTrainedModel, ids: torch.Tensor, written: torch.Tensor) -> bool:
    return greedy_continuations(model, ids[:, :PREFIX], LENGTH - PREFIX).tolist() == written.tolist()


def _perturbation(model: PreTrainedModel, ids: torch.Tensor, written: torch.Tensor) -> bool:
    frame = sweep(model, ids, written, positions=[1, 4, PREFIX - 1], seed=1, prefix_length=PREFIX, batch_size=3)
    edited = torch.cat([ids[:, :PREFIX], written], dim=1)[torch.from_numpy(frame["row"].to_numpy().astype(np.int64))]
    edited[range(len(edited)), frame["position"].to_list()] = torch.tensor(frame["replacement_id"].to_list())
    return np.allclose(frame["nll_nats"], _nll(model, edited), atol=3e-5)


def _attention(model: PreTrainedModel, ids: torch.Tensor, _: Any) -> bool:
    with torch.no_grad():
        layers = model(ids, output_attentions=True).attentions
    expected = np.stack([layer.numpy() for layer in layers], axis=1)[:, :, :, PREFIX, :PREFIX]
    return np.allclose(attention_array(prefix_attention(model, ids, PREFIX)), expected, atol=1e-6)


def _gradients(model: PreTrainedModel, ids: torch.Tensor, _: Any) -> bool:
    frame, adapter = parameter_gradients(model, ids[:1], PREFIX), adapter_for(model)
    labels = ids[:1].clone()
    labels[:, :PREFIX] = -100
    model.requires_grad_(True).zero_grad()
    model(ids[:1], labels=labels).loss.backward()
    pairs = []
    for row in frame.iter_rows(named=True):
        parts = adapter.component(row["layer"], row["component"])
        pieces = [part.split_weight(part.module.weight.grad)[row["head"] or 0].flatten() for part in parts]
        pairs.append((row["l2"], float(torch.cat(pieces).norm())))
    model.zero_grad()
    model.requires_grad_(False)
    return np.allclose(*zip(*pairs, strict=True), rtol=5e-4, atol=1e-6)


def _patching(model: PreTrainedModel, ids: torch.Tensor, _: Any) -> bool:
    """A head's activation from the other run, by hand, for a sample; a run that is fed its own changes nothing."""
    changed, impact, adapter = 3, PREFIX + 1, adapter_for(model)
    other = ids[:1].clone()
    for place in (changed, impact):
        other[0, place] = 2 + (other[0, place] - 1) % (VOCABULARY - 2)
    frame, right = activation_patching(model, ids[:1], other, [changed], [impact]), []
    for sample in frame.sample(8, seed=1).iter_rows(named=True):
        receiver, giver = (ids[:1], other) if sample["receiver"] == "MP" else (other, ids[:1])
        (part,) = adapter.component(sample["layer"], PATCHABLE[sample["component"]])
        logits = _fed(model, part, sample, receiver, giver, changed)
        expected = -logits[0, impact - 1].log_softmax(-1)[receiver[0, impact]]
        right.append(abs(sample["nll_nats"] + sample["delta_nll_nats"] - float(expected)) < 1e-4)
        same = _fed(model, part, sample, receiver, receiver, changed)
        right.append(torch.equal(same, _logits(model, receiver)))
    return all(right)


def _fed(model: PreTrainedModel, part: Any, sample: Any, receiver: Any, giver: Any, place: int) -> torch.Tensor:
    """Logits of the receiver with one head's activation of the giver at one position."""
    seen, is_read = [], sample["component"] == "z"

    def swap(features: torch.Tensor) -> torch.Tensor:
        features = features.clone()
        part.split(features)[0, place, sample["head"]] = part.split(seen[0])[0, place, sample["head"]]
        return features

    keep = part.module.register_forward_hook(lambda m, i, o: seen.append((i[0] if is_read else o).clone()))
    _logits(model, giver)
    keep.remove()
    handle = (
        part.module.register_forward_pre_hook(lambda m, i: (swap(i[0]),))
        if is_read
        else part.module.register_forward_hook(lambda m, i, o: swap(o))
    )
    found = _logits(model, receiver)
    handle.remove()
    return found


def _interventions(model: PreTrainedModel, ids: torch.Tensor, _: Any) -> bool:
    """Untouched, a head at zero, a block at its mean and an MLP at zero, each by a hook of one line."""
    adapter, means = adapter_for(model), activation_means(model, ids)
    head, block, mlp = Intervention("zero", (0,), 1), Intervention("mean", (1,)), Intervention("zero", (0,), part="mlp")
    bundles = [(), (head,), (block,), (mlp,)]
    found = [float(one.nll.mean()) for one in outcomes(adapter, ids, PREFIX, bundles, means, batch_size=8)]
    (first,), (second,) = adapter.component(0, "W_O"), adapter.component(1, "W_O")

    def without_head(module: Any, inputs: Any) -> Any:
        z = inputs[0].clone()
        first.split(z)[..., 1, :] = 0
        return (z,)

    level = means.z[1]
    by_hand = [
        lambda: None,
        lambda: first.module.register_forward_pre_hook(without_head),
        lambda: second.module.register_forward_pre_hook(lambda m, i: (level.expand_as(i[0]).contiguous(),)),
        lambda: adapter.mlp(0).register_forward_hook(lambda m, i, o: o * 0),
    ]
    right = []
    for nll, begin in zip(found, by_hand, strict=True):
        handle = begin()
        right.append(abs(nll - float(_nll(model, ids).mean())) < 1e-4)
        if handle is not None:
            handle.remove()
    return all(right)


def _edits(model: PreTrainedModel, ids: torch.Tensor, written: torch.Tensor) -> bool:
    found = read_out(model, ids, PREFIX)
    is_close = np.allclose(found.mean_nll_nats, _nll(model, ids), rtol=1e-5, atol=2e-5)
    return is_close and found.exact_match.tolist() == _match(ids, written)
