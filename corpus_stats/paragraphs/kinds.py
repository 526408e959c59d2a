"""Kinds of text, by rules simple enough to be read: what kind of text is memorized?

The first rule that holds decides; shares are of the characters that are not white space unless said otherwise.

| kind | rule |
|---|---|
| licence | at least two different phrases of licences (warranty, redistribution, "all rights reserved", …) |
| markup | tags, entities, attributes, LaTeX commands or wiki brackets cover at least 15 % of the characters |
| code | two different signs of programs (keyword, operator, call, final ; or brace, …), one of either for every 60 \
characters, and digits cover less than 30 % |
| data | digits cover at least 30 %, or letters less than 40 %, or runs of 30 ASCII signs without a space 40 % |
| list | most lines start with a bullet or number; or most of at least four lines are shorter than 40 characters, or \
there is a comma for every three words, and fewer than one word in eight is a function word |
| prose | at least one word in eight is a common English function word, or letters cover at least 85 % |
| other | none of these |
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

KINDS = ("licence", "markup", "code", "data", "list", "prose", "other")

_LICENCE = (
    r"licen[cs]ed? ", r"warrant(y|ies)", r"redistribut", r"copyright", r"all rights reserved", r"liab(le|ility)",
    r"permission (is )?hereby", r"as is", r"merchantability", r"fitness for a particular", r"damages", r"gnu general",
    r"this list of conditions", r"binary form must", r"subject to the following", r"free software",
    r"apache license", r"without limitation", r"modify it under", r"conditions are met", r"applicable law",
)  # fmt: skip
_MARKUP = (
    r"</?[A-Za-z!?][^<>\n]{0,200}>?", r"&#?\w{2,8};", r"\b[\w:-]+=\"[^\"]*\"",
    r"\\[a-zA-Z]+\{[^}]*\}?", r"\[\[|\]\]|\{\{|\}\}",
)  # fmt: skip
_CODE = (
    r"(?m)[;{}]\s*$",
    r"[^=]==[^=]|!=|->|=>|::|&&|\|\||\+=|-=|:=|<<|>>",
    r"\b\w+\(\)?[\w\"'.,&* ]*\)",
    r"\b(def|return|import|include|function|var|const|let|public|private|static|void|int|struct|class|func|elif|"
    r"else if|null|nullptr|None|self|this|typedef|namespace|using|package|lambda|println|printf|sizeof|unsigned|string|"
    r"bool)\b",
    r"(?m)^\s*(//|/\*|\*/?|#include|#define|#if|#endif|-- |@\w+)",
    r"\b\w+\.\w+\.\w+|\b\w+_\w+\b|\b[a-z]+[A-Z]\w*",
    r"[\w\])] ?= ?[\w\"'({\[&-]",
)
_FUNCTION_WORD = (
    r"\b(the|of|and|to|a|an|in|is|was|that|for|it|with|as|on|be|by|at|this|are|or|from|his|her|he|she|they|we|you|i|"
    r"not|have|has|had|but|which|their|were|been|will|would|can|if|there|so|who|what|when|than|its)\b"
)


def content_kinds(texts: Sequence[str]) -> pl.DataFrame:
    """Kind of every text, with the quantities the rules are about.

    Args:
        texts: paragraphs as text.

    Returns:
        One row per text, in the order of the input: content_kind (one of KINDS), letter_share, digit_share,
        markup_share, licence_phrase_count, code_sign_count (occurrences), function_word_share (of words).
    """
    columns = ["letter_share", "digit_share", "markup_share", "licence_phrase_count", "code_sign_count"]
    frame = pl.DataFrame({"text": list(texts)}, schema={"text": pl.String}).with_columns(_quantities())
    return frame.with_columns(_rules()).select("content_kind", *columns, "function_word_share")


def _quantities() -> list[pl.Expr]:
    text = pl.col("text")
    visible = pl.max_horizontal(text.str.count_matches(r"\S"), 1)
    words = pl.max_horizontal(text.str.count_matches(r"\w+"), 1)
    lower = text.str.to_lowercase()
    return [
        visible.alias("visible_count"),
        (text.str.count_matches(r"\p{L}") / visible).alias("letter_share"),
        (text.str.count_matches(r"\p{Nd}") / visible).alias("digit_share"),
        (_covered(text, "|".join(_MARKUP)) / visible).clip(0, 1).alias("markup_share"),
        (_covered(text, r"[!-~]{30,}") / visible).alias("unbroken_share"),
        pl.sum_horizontal(lower.str.contains(phrase) for phrase in _LICENCE)
        .cast(pl.Int32)
        .alias("licence_phrase_count"),
        pl.sum_horizontal(text.str.count_matches(sign) for sign in _CODE).cast(pl.Int32).alias("code_sign_count"),
        pl.sum_horizontal(text.str.contains(sign) for sign in _CODE).alias("code_sign_kinds"),
        (lower.str.count_matches(_FUNCTION_WORD) / words).alias("function_word_share"),
        text.str.count_matches(r"(?m)^.*\S").alias("line_count"),
        text.str.count_matches(r"(?m)^([ \t]*([-•·+]|\(?\d+[.):]|[a-z][.)])|\*)\s").alias("bullet_count"),
        text.str.count_matches(r"(?m)^.{1,39}$").alias("short_line_count"),
        (text.str.count_matches(r"[,;|•·\t]") / words).alias("separator_share"),
    ]


def _covered(text: pl.Expr, pattern: str) -> pl.Expr:
    """Characters that are not white space inside the matches of a pattern."""
    return text.str.extract_all(pattern).list.join("").str.replace_all(r"\s", "").str.len_chars()


def _rules() -> pl.Expr:
    many_digits = pl.col("digit_share") >= 0.3
    dense_signs = pl.col("code_sign_count") * 60 >= pl.col("visible_count")
    is_code = (pl.col("code_sign_kinds") >= 2) & dense_signs & ~many_digits
    is_data = many_digits | (pl.col("letter_share") < 0.4) | (pl.col("unbroken_share") >= 0.4)
    has_sentences = pl.col("function_word_share") >= 1 / 8
    has_bullets = (pl.col("bullet_count") >= 2) & (pl.col("bullet_count") * 2 > pl.col("line_count"))
    short_lines = (pl.col("line_count") >= 4) & (pl.col("short_line_count") * 2 > pl.col("line_count"))
    is_list = has_bullets | (~has_sentences & (short_lines | (pl.col("separator_share") >= 1 / 3)))
    is_prose = has_sentences | (pl.col("letter_share") >= 0.85)
    return (
        pl.when(pl.col("licence_phrase_count") >= 2)
        .then(pl.lit("licence"))
        .when(pl.col("markup_share") >= 0.15)
        .then(pl.lit("markup"))
        .when(is_code)
        .then(pl.lit("code"))
        .when(is_data)
        .then(pl.lit("data"))
        .when(is_list)
        .then(pl.lit("list"))
        .when(is_prose)
        .then(pl.lit("prose"))
        .otherwise(pl.lit("other"))
        .alias("content_kind")
    )
