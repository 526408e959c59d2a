"""Products by oneDNN: float32 in full, only where nobody differentiates, and only on processors where it pays."""

import pytest
import torch

from probes.forward import products
from probes.forward.fused import fused, replace_method
from tests.support.models.scoring_models import random_model

INTEL = "vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 avx512f\n"
AMD = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 avx512f\n"
OLD_AMD = "vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n"


@pytest.mark.parametrize(("text", "expected"), [(INTEL, False), (AMD, True), (OLD_AMD, False), ("", False)])
def test_the_processor_decides(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(products, "CPUINFO", tmp_path / "cpuinfo")
    products.CPUINFO.write_text(text)
    products.prefers_onednn.cache_clear()
    try:
        assert products.prefers_onednn() is expected
        (tmp_path / "cpuinfo").unlink()
        products.prefers_onednn.cache_clear()
        assert products.prefers_onednn() is False  # another system: nothing changes
    finally:
        products.prefers_onednn.cache_clear()


@pytest.mark.parametrize("rows", [7, 300])
@pytest.mark.parametrize("has_bias", [False, True])
def test_the_product_is_that_of_float64_to_rounding(monkeypatch, rows, has_bias):
    """Rows of a batch with a middle axis, and a slice of the weights, as the output head is taken in tiles."""
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    generator = torch.Generator().manual_seed(rows)
    values = torch.randn(2, rows, 256, generator=generator)[:, 1:]
    weight = torch.randn(700, 256, generator=generator)[20:532]
    bias = torch.randn(512, generator=generator) if has_bias else None
    with torch.inference_mode():
        found = products.linear(values, weight, bias)
    exact = torch.nn.functional.linear(values.double(), weight.double(), None if bias is None else bias.double())
    torch.testing.assert_close(found.double(), exact, rtol=0, atol=1e-4)


def test_who_differentiates_gets_the_gradient(monkeypatch):
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    values, weight = torch.randn(400, 256, requires_grad=True), torch.randn(512, 256)
    products.linear(values, weight).sum().backward()
    assert torch.allclose(values.grad, weight.sum(0).expand(400, -1), atol=1e-3)


def test_half_precision_stays_with_torch(monkeypatch):
    monkeypatch.setattr(products, "prefers_onednn", lambda: True)
    values, weight = torch.randn(400, 256).bfloat16(), torch.randn(512, 256).bfloat16()
    with torch.inference_mode():
        assert torch.equal(products.linear(values, weight), torch.nn.functional.linear(values, weight))


def test_a_method_given_twice_is_taken_back_twice():
    """Training puts products in bfloat16 over those of a fused model."""
    from contextlib import ExitStack

    model = random_model("llama")
    with fused(model), ExitStack() as outer:
        within = vars(model.lm_head).get("forward")
        replace_method(model.lm_head, "forward", lambda values: values, outer)
        assert model.lm_head(1) == 1
        outer.close()
        assert vars(model.lm_head).get("forward") is within
    assert "forward" not in vars(model.lm_head)
