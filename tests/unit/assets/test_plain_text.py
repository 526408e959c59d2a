"""Text of a corpus in the Dagster UI: it is shown, never read as Markdown."""

import polars as pl
import pytest

from assets.framework.materialize import as_plain_text, preview

HOSTILE = [
    "![x](http://127.0.0.1/pixel.png)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "see https://example.org/a now",
    "www.example.org",
    "a | b \\ `code` **bold** _it_ ~~no~~",
    "&lt;img&gt;\n# title",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_becomes_an_element_and_all_of_it_is_shown(text):
    markdown = pytest.importorskip("markdown_it", reason="markdown-it-py comes with rich")
    table = preview(pl.DataFrame({"text": [text]}), width=200)
    html = markdown.MarkdownIt("commonmark", {"html": True}).enable("table").render(table)
    body = html.partition("<td>")[2].partition("</td>")[0]
    assert "<" not in body and "href" not in html and "src=" not in html.replace("src=x", "")
    import html as entities

    assert entities.unescape(body) == text.replace("\n", "⏎")


def test_addresses_are_not_linked_by_themselves():
    assert "https:" not in as_plain_text("https://example.org") and "www." not in as_plain_text("www.example.org")
