"""Every causal class of transformers, small and random, against the table of families in the documentation."""

from __future__ import annotations

import pytest
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

from docs.build.families import outcomes_in
from probes.architectures import FAMILIES
from probes.architectures.refused import REFUSED
from tests.support import REPOSITORY
from tests.support.models.every_family import TYPES
from tests.support.models.family_outcomes import MEASURES, outcome

WRITTEN = outcomes_in((REPOSITORY / "docs" / "families.md").read_text(encoding="utf-8"))
MEASURED = [name for name in TYPES if name in WRITTEN and WRITTEN[name].agrees]


def test_the_page_speaks_of_every_family():
    assert set(WRITTEN) == set(TYPES)
    assert {name for name, found in WRITTEN.items() if found.agrees == MEASURES} == set(FAMILIES)
    assert {name: WRITTEN[name].sentence for name in REFUSED if name in TYPES} == {
        name: reason for name, reason in REFUSED.items() if name in TYPES
    }
    assert set(REFUSED) <= set(CONFIG_MAPPING_NAMES)
    assert len(MEASURED) > 100


@pytest.mark.parametrize("family", MEASURED)
def test_what_a_family_gets_is_what_the_page_says(family):
    assert outcome(family) == WRITTEN[family], "run `python -m docs.build.families > docs/families.md`"
