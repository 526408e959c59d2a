"""Content kinds: texts of which nobody would doubt the kind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_stats.paragraphs.kinds import KINDS, content_kinds
from corpus_stats.readers import open_source

EXAMPLES = {
    "licence": [
        " * This software is provided AS IS, without warranty of any kind; in no event shall the authors be liable.",
        "Redistributions in binary form must reproduce the above copyright notice, this list of conditions.",
    ],
    "markup": [
        '<table border="0"><tr><td class="x">1</td></tr></table> <a href="methods.html">Methods</a>&nbsp;',
        r"\begin{equation} \frac{a}{b} \label{eq:one} \end{equation} \section{Results}",
    ],
    "code": [
        "def leading_match(a, b):\n    if a == b:\n        return len(a)\n    return 0\n",
        "for (int i = 0; i < n; ++i) {\n    sum += data[i];\n}\nreturn sum;\n",
        "if err != nil {\n\t\treturn nil, err\n\t}\n\treturn result, nil\n}\n",
    ],
    "data": [
        "0.123 4.567 8.901\n2.345 6.789 0.123\n4.567 8.901 2.345\n",
        "MIIFCjCCAvKgAwIBAgIBATANBgkqhkiG9w0BAQ0FADA5MQswCQYDVQQGEwJQQTEQ",
        "-----------+-----------+----------\n====== | ======= | ======",
    ],
    "list": [
        "- apples\n- pears\n- plums from the garden of a friend of the family\n- nuts\n",
        "red, green, blue, yellow, black, white, grey, orange, violet, brown, pink",
    ],
    "prose": [
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness.",
        "The views expressed in this article are those of the author and do not reflect the position of the paper.",
    ],
    "other": ["Tel: +44 Fax: +44 @ Oxford!!! (UK) «Bank» #1"],
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_clear_cases(kind):
    assert content_kinds(EXAMPLES[kind])["content_kind"].to_list() == [kind] * len(EXAMPLES[kind])


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(st.text(max_size=80), max_size=5))
def test_every_text_has_one_kind(texts):
    frame = content_kinds(texts)
    assert len(frame) == len(texts)
    assert set(frame["content_kind"]) <= set(KINDS)
    assert frame.null_count().sum_horizontal().item() == 0
    for share in ("letter_share", "digit_share", "markup_share"):
        assert frame[share].is_between(0, 1).all()


def test_the_standard_library_is_mostly_code_and_its_licence_a_licence():
    documents = [d for d in open_source("python") if d.name == "LICENSE.txt" or d.subset in ("json", "asyncio")]
    kinds = content_kinds([d.text[:400] for d in documents])["content_kind"].to_list()
    assert kinds.count("code") > len(kinds) / 2
    bodies = content_kinds([d.text[5000:5400] for d in documents if d.name == "LICENSE.txt"])
    assert bodies["content_kind"].to_list() in ([], ["licence"], ["prose"])
