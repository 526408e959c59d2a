"""A verdict names what it was measured on, and how much of it is one text."""

from __future__ import annotations

from probes.claims.verdicts import ClaimSubject


def test_a_subject_says_model_corpus_policy_toy_and_largest_cluster():
    clusters = "8 clusters, the largest of 5 of 12 paragraphs"
    said = str(ClaimSubject("m", "books", "50 + 50 tokens", True, clusters))
    assert said == f"m (a toy trained on this machine) on corpus books, 50 + 50 tokens; {clusters}"
    assert str(ClaimSubject("m", "books", "50 + 50 tokens")) == "m on corpus books, 50 + 50 tokens"
