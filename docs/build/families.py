"""The table of families in docs/families.md, from a small model of each: `python -m docs.build.families`.

Takes a minute or two; `tests/integration/probes/checkpoints/test_every_family.py` says when the page is out of date.
"""

from __future__ import annotations

from tests.support.models.every_family import TYPES
from tests.support.models.family_outcomes import MEASURES, Outcome, outcome

HEADER = """# Families

What a checkpoint of each family of causal language models in transformers gets. A small random model of every one is
measured and compared with transformers alone: exact match with `generate`, likelihood to 1e-5 nats, attention with
`output_attentions`, gradients with autograd, patches, interventions and edited weights with hooks written for the test.
`rarecall checkpoints add` says the same of a checkpoint; what has no adapter is left out of the tables that need one.
At measurement the logits of each checkpoint are compared once more with the model's own, at every position of a
paragraph, to 1e-4. This page is made by `python -m docs.build.families`.
"""


def page(outcomes: dict[str, Outcome]) -> str:
    """The page: families with the same outcome share a row."""
    rows: dict[Outcome, list[str]] = {}
    for name, found in outcomes.items():
        rows.setdefault(found, []).append(name)
    return "\n".join([HEADER, *_measured(rows), "", *_refused(rows), ""])


def _measured(rows: dict[Outcome, list[str]]) -> list[str]:
    lines = ["| families | " + " | ".join(MEASURES) + " |", "|---|" + "---|" * len(MEASURES)]
    for found, names in sorted(rows.items(), key=lambda row: (-len(row[0].agrees), row[1])):
        if not found.sentence:
            marks = " | ".join("yes" if measure in found.agrees else "–" for measure in MEASURES)
            lines.append(f"| {', '.join(names)} | {marks} |")
    return lines


def _refused(rows: dict[Outcome, list[str]]) -> list[str]:
    lines = ["| families | not measured: the family |", "|---|---|"]
    return lines + [f"| {', '.join(names)} | {found.sentence} |" for found, names in rows.items() if found.sentence]


def outcomes_in(text: str) -> dict[str, Outcome]:
    """What a page says of each family."""
    found: dict[str, Outcome] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("families", "---"):
            continue
        is_refusal = len(cells) == 2
        marks = () if is_refusal else tuple(m for m, mark in zip(MEASURES, cells[1:], strict=True) if mark == "yes")
        for name in cells[0].split(", "):
            found[name] = Outcome(marks, cells[1] if is_refusal else "")
    return found


if __name__ == "__main__":
    print(page({name: outcome(name) for name in TYPES}))
