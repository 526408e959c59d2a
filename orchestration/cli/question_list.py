"""The list that `rarecall query` shows: some twenty questions by topic, or every one there is."""

from __future__ import annotations

import sql as queries

TOPICS: dict[str, tuple[str, ...]] = {
    "What is recited": (
        "recited_paragraphs",
        "recited_by_duplication",
        "recited_by_kind",
        "corpus_share",
        "recited_after_other_text",
        "almost_recited",
        "samples_needed",
    ),
    "What triggers it": (
        "which_tokens_trigger",
        "trigger_words",
        "rare_tokens_trigger",
        "rarity_adjusted",
        "one_token_breaks_it",
    ),
    "Where it lives": ("blocks_recital_needs", "heads_recital_needs", "heads_and_rarity", "gradient_layers"),
    "How it develops": ("recited", "paragraph_over_checkpoints", "early_predicts_late", "forgotten"),
    "What forgetting costs": ("left_of_targets", "lost_beside_targets"),
    "The papers and the warehouse": ("claims", "columns", "corpora"),
}
"""Questions of the cookbook that one asks first."""


def listing(is_all: bool = False) -> str:
    """The list as text: names and the question each answers."""
    known = queries.questions()
    shown = sum(len(names) for names in TOPICS.values())
    lines = ["Ask one with `rarecall query NAME`, see its SELECT with `rarecall query NAME --show`."]
    for topic, names in _groups().items() if is_all else TOPICS.items():
        width = max(len(name) for name in names)
        lines += ["", topic, *(f"  {name:<{width}}  {known[name].title}" for name in names)]
    if not is_all:
        rest = len(known) - shown
        lines += [
            "",
            f"{rest} more, with those behind the report: `rarecall query --all`; docs/cookbook.md has answers.",
        ]
    return "\n".join(lines)


def _groups() -> dict[str, list[str]]:
    return {
        "Cookbook": list(queries.load(queries.COOKBOOK)),
        "Behind the report": list(queries.load("adhoc")),
    }
