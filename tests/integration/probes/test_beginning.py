"""A beginning of sequence against transformers reading the same ids with the token in front: every measurement."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.architectures import adapter_for
from probes.attention.weights import attention_array, prefix_attention
from probes.editing.readout import read_out
from probes.errors import ProbeError
from probes.forward.beginning import begin_with
from probes.forward.inputs import refuse_unreadable
from probes.gradients.activations import activation_gradients
from probes.gradients.parameters import parameter_gradients
from probes.interventions.patching import PATCHABLE, activation_patching
from probes.interventions.sweep import Intervention, activation_means, measure_interventions
from probes.perturbation.sweep import POLICIES, pmp_continuations, sweep
from probes.scoring.generation import generate_continuations, greedy_continuations
from probes.scoring.screening import extractable_at, screen_paragraphs
from probes.scoring.teacher_forced import score_paragraphs
from tests.support.models.families import VOCABULARY, family_model
from tests.support.models.scoring_models import greedy, random_model

BOS, PREFIX, LENGTH, ROWS = 1, 8, 16, 4
FAMILIES = ("llama", "gemma3_text", "granite", "olmo", "phi3", "gpt_neo", "gpt_neox", "gpt2")


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    is_old = request.param.startswith("gpt")
    found = random_model(request.param) if is_old else family_model(request.param, initializer_range=0.2)
    begin_with(found, BOS)
    return found


def begun(ids: torch.Tensor) -> torch.Tensor:
    """The ids as transformers is to read them."""
    return torch.cat([torch.full((len(ids), 1), BOS), ids], dim=1)


@pytest.fixture(scope="module")
def ids(model) -> torch.Tensor:
    """Random prefixes with the model's own continuation after the beginning, spoiled later in each further row."""
    drawn = torch.randint(2, VOCABULARY, (ROWS, LENGTH), generator=torch.Generator().manual_seed(3))
    written = greedy(model, begun(drawn[:, :PREFIX]), LENGTH - PREFIX)
    for row in range(ROWS):
        drawn[row, PREFIX : PREFIX + 3 * row] = written[row, : 3 * row]
    return drawn


def matches(model, prefixes: torch.Tensor, truth: torch.Tensor) -> list[int]:
    """Greedy exact match as transformers' generate gives it after the beginning."""
    return (greedy(model, begun(prefixes), truth.shape[1]) == truth).long().cumprod(1).sum(1).tolist()


def loss(model, ids: torch.Tensor, prefix: int = PREFIX) -> torch.Tensor:
    labels = begun(ids)
    labels[:, : 1 + prefix] = -100
    return model(input_ids=begun(ids), labels=labels).loss


def test_scores_and_every_token(model, ids):
    scores = score_paragraphs(model, ids, PREFIX)
    assert scores.paragraphs["exact_match"].to_list() == matches(model, ids[:, :PREFIX], ids[:, PREFIX:])
    assert scores.paragraphs["exact_match"].max() == LENGTH - PREFIX
    with torch.no_grad():
        losses = [float(loss(model, ids[[row]])) for row in range(ROWS)]
        logp = model(begun(ids)).logits[:, 1:-1].log_softmax(-1)
    np.testing.assert_allclose(scores.paragraphs["continuation_nll_nats"], losses, rtol=1e-5, atol=1e-5)
    expected = -logp.gather(2, ids[:, 1:, None])[..., 0]
    np.testing.assert_allclose(scores.tokens["nll_nats"].to_numpy().reshape(ROWS, -1), expected, rtol=1e-4, atol=1e-5)
    assert scores.tokens["position"].unique().to_list() == list(range(1, LENGTH))


def test_screening_shorter_contexts_and_generation(model, ids):
    assert screen_paragraphs(model, ids, PREFIX)["exact_match"].to_list() == matches(
        model, ids[:, :PREFIX], ids[:, PREFIX:]
    )
    shorter = extractable_at(model, ids, PREFIX, [3])
    assert shorter["exact_match"].to_list() == matches(model, ids[:, PREFIX - 3 : PREFIX], ids[:, PREFIX:])
    written = greedy(model, begun(ids[:, :PREFIX]), LENGTH - PREFIX)
    assert greedy_continuations(model, ids[:, :PREFIX], LENGTH - PREFIX).tolist() == written.tolist()
    match = score_paragraphs(model, ids, PREFIX).paragraphs["exact_match"].to_list()
    for row, text in generate_continuations(model, ids, match, PREFIX).select("row", "generated_ids").iter_rows():
        assert text == written[row].tolist()


@pytest.mark.parametrize("policy", POLICIES)
def test_perturbation(model, ids, policy):
    reference = greedy(model, begun(ids[:, :PREFIX]), LENGTH - PREFIX)
    frame = sweep(
        model, ids, reference, positions=[1, 5, PREFIX - 1], policy=policy, seed=1, prefix_length=PREFIX,
        token_counts=np.arange(VOCABULARY), excluded_ids=(0, 1), batch_size=3,
    )  # fmt: skip
    for record in frame.iter_rows(named=True):
        prefix = ids[record["row"], :PREFIX].tolist()
        prefix[record["position"]] = record["replacement_id"]
        edited = torch.tensor([[token for token in prefix if token is not None]])
        truth = reference[[record["row"]]]
        assert [record["exact_match"]] == matches(model, edited, truth)
        with torch.no_grad():
            expected = float(loss(model, torch.cat([edited, truth], 1), edited.shape[1]))
        assert record["nll_nats"] == pytest.approx(expected, abs=3e-5)
    minimal = frame.group_by("row", maintain_order=True).first()
    for record in pmp_continuations(model, ids, reference, minimal, prefix_length=PREFIX).iter_rows(named=True):
        prefix = torch.tensor([record["prefix_ids"]])
        assert record["generated_ids"] == greedy(model, begun(prefix), LENGTH - PREFIX)[0].tolist()


def test_attention_is_read_from_the_paragraphs_first_token_on(model, ids):
    with torch.no_grad():
        layers = model(begun(ids), output_attentions=True).attentions
    expected = np.stack([layer.numpy() for layer in layers], axis=1)[:, :, :, 1 + PREFIX, 1 : 1 + PREFIX]
    frame = prefix_attention(model, ids, PREFIX)
    np.testing.assert_allclose(attention_array(frame), expected, atol=1e-6)
    own = np.stack([layer.numpy() for layer in layers], axis=1)[:, :, :, 1 + PREFIX, 1 + PREFIX]
    np.testing.assert_allclose(frame["self_share"].to_numpy().reshape(own.shape), own, atol=1e-6)


def test_parameter_gradients_are_those_of_all_that_is_read(model, ids):
    frame = parameter_gradients(model, ids[:1], PREFIX).filter(component="W_out")
    model.requires_grad_(True).zero_grad()
    loss(model, ids[:1]).backward()
    for layer, l2 in frame.select("layer", "l2").iter_rows():
        (projection,) = adapter_for(model).component(layer, "W_out")
        assert l2 == pytest.approx(float(projection.module.weight.grad.norm()), rel=5e-4)
    frame = parameter_gradients(model, ids[:1], PREFIX).filter(component="W_O")
    for layer, head, l2 in frame.select("layer", "head", "l2").iter_rows():
        (projection,) = adapter_for(model).component(layer, "W_O")
        expected = projection.split_weight(projection.module.weight.grad)[head].norm()
        assert l2 == pytest.approx(float(expected), rel=5e-4)
    model.zero_grad()
    model.requires_grad_(False)


def test_activation_gradients_begin_at_the_paragraphs_first_token(model, ids):
    frame = activation_gradients(model, ids[:1], PREFIX, components=("v", "mlp_out"))
    adapter, kept = adapter_for(model), {}

    def keep(name):
        def hook(module, inputs, output):
            kept[name] = output
            output.retain_grad()
            return output.clone() if adapter.writes_in_place else None

        return hook

    values, mlps = ([adapter.component(layer, name)[0] for layer in (0, 1)] for name in ("W_V", "W_out"))
    handles = [p.module.register_forward_hook(keep((name, layer))) for name, ps in (("v", values), ("mlp_out", mlps))
               for layer, p in enumerate(ps)]  # fmt: skip
    model.requires_grad_(True)
    loss(model, ids[:1]).backward()
    for handle in handles:
        handle.remove()
    for layer in (0, 1):
        got = frame.filter(component="v", layer=layer)["score"].to_numpy().reshape(-1, PREFIX)
        at = values[layer].split(kept["v", layer].grad)[0, 1 : 1 + PREFIX].abs().amax(-1).T
        np.testing.assert_allclose(got, at, rtol=2e-3, atol=1e-7)
        got = frame.filter(component="mlp_out", layer=layer)["score"].to_numpy()
        np.testing.assert_allclose(got, kept["mlp_out", layer].grad[0, 1 : 1 + PREFIX].abs().amax(-1), rtol=2e-3,
                                   atol=1e-7)  # fmt: skip
    model.zero_grad()
    model.requires_grad_(False)


def test_patching(model, ids):
    changed, impact = 3, PREFIX + 1
    perturbed = ids[:1].clone()
    perturbed[0, changed] = 2 + (perturbed[0, changed] - 1) % (VOCABULARY - 2)
    perturbed[0, impact] = 2 + (perturbed[0, impact] - 1) % (VOCABULARY - 2)
    frame = activation_patching(model, ids[:1], perturbed, [changed], [impact])
    adapter, seen = adapter_for(model), []
    for sample in frame.sample(12, seed=1).iter_rows(named=True):
        receiver, giver = (ids[:1], perturbed) if sample["receiver"] == "MP" else (perturbed, ids[:1])
        (projection,) = adapter.component(sample["layer"], PATCHABLE[sample["component"]])
        expected = _patched(model, projection, sample, begun(receiver), begun(giver), 1 + changed, seen)
        truth = int(receiver[0, impact])
        assert sample["nll_nats"] + sample["delta_nll_nats"] == pytest.approx(
            float(-expected[0, impact].log_softmax(-1)[truth]), rel=1e-4, abs=1e-5
        )


def _patched(model, projection, sample, receiver, giver, position, seen):
    def swap(features):
        features = features.clone()
        projection.split(features)[0, position, sample["head"]] = projection.split(seen[-1])[
            0, position, sample["head"]
        ]
        return features

    def keep(module, inputs, output):
        seen.append((inputs[0] if sample["component"] == "z" else output).clone())

    with torch.no_grad():
        handle = projection.module.register_forward_hook(keep)
        model(giver)
        handle.remove()
        if sample["component"] == "z":
            handle = projection.module.register_forward_pre_hook(lambda m, i: (swap(i[0]),))
        else:
            handle = projection.module.register_forward_hook(lambda m, i, o: swap(o))
        logits = model(receiver).logits
        handle.remove()
    return logits


@pytest.mark.parametrize("kind", ["none", "zero", "mean"])
def test_interventions_leave_the_beginning_as_it_is(model, ids, kind):
    """Heads and blocks that write something else from the paragraph's first token on, by a hook on W_O."""
    means = activation_means(model, ids)
    todo = [] if kind == "none" else [Intervention(kind, (0,), 1), Intervention(kind, (1,))]
    frame = measure_interventions(model, {"MP": ids}, ids, todo, PREFIX, means=means, random_count=2)
    adapter = adapter_for(model)
    for row, change in zip(frame.iter_rows(named=True), [None, *todo], strict=True):
        handles = []
        if change is not None:
            (output,) = adapter.component(change.layers[0], "W_O")
            level = means.z[change.layers[0]] if kind == "mean" else torch.zeros_like(means.z[0])

            def swap(module, inputs, output=output, level=level, change=change):
                z = inputs[0].clone()
                heads = range(adapter.head_count) if change.head is None else [change.head]
                for head in heads:
                    output.split(z)[:, 1:, head] = output.split(level)[head]
                return (z,)

            handles = [output.module.register_forward_pre_hook(swap)]
        with torch.no_grad():
            expected = float(loss(model, ids))
        for handle in handles:
            handle.remove()
        assert row["nll_nats"] == pytest.approx(expected, rel=1e-4, abs=2e-5)


def test_edited_weights_are_read_the_same_way(model, ids):
    found = read_out(model, ids, PREFIX)
    assert found.exact_match.tolist() == matches(model, ids[:, :PREFIX], ids[:, PREFIX:])
    with torch.no_grad():
        losses = [float(loss(model, ids[[row]])) for row in range(ROWS)]
    np.testing.assert_allclose(found.mean_nll_nats, losses, rtol=1e-5, atol=2e-5)


def test_the_beginning_needs_room_in_the_context():
    model = random_model("llama")
    full = torch.full((1, model.config.max_position_embeddings), 5)
    refuse_unreadable(model, full, full.shape[1])
    begin_with(model, BOS)
    with pytest.raises(ProbeError, match="65 tokens into the model, but its context is 64"):
        refuse_unreadable(model, full, full.shape[1])
