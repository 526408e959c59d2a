"""Settings in config.json that a family's code does not read change nothing that is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from probes.architectures import adapter_for
from probes.interventions.hooks import Intervention, activation_means
from probes.interventions.sweep import outcomes
from tests.support.models.every_family import VOCABULARY, tiny_model

STRAY = {
    "gpt2": {"num_key_value_heads": 1, "head_dim": 64},
    "gpt_neo": {"num_key_value_heads": 2, "head_dim": 64},
    "gpt_neox": {"num_key_value_heads": 1, "head_dim": 64},
    "stablelm": {"head_dim": 64},
}


def measured(model) -> np.ndarray:
    ids = torch.randint(2, VOCABULARY, (3, 16), generator=torch.Generator().manual_seed(3))
    kinds = ("identity", "uniform", "zero", "mean")
    bundles = [(), *((Intervention(kind, (layer,), head),) for kind in kinds for layer in (0, 1) for head in (None, 1))]
    found = outcomes(adapter_for(model), ids, 8, bundles, activation_means(model, ids), batch_size=8)
    return np.stack([one.nll for one in found])


@pytest.mark.parametrize("family", list(STRAY))
def test_interventions_are_those_without_the_setting(family):
    plain, stray = tiny_model(family), tiny_model(family)
    for name, value in STRAY[family].items():
        setattr(stray.config, name, value)
    np.testing.assert_array_equal(measured(stray), measured(plain))
    assert len(np.unique(measured(plain).round(6).mean(axis=1))) > 8
