"""Tables of a screening: which windows of a corpus are asked for recital, what came of it, which became paragraphs."""

from warehouse.registry.schema import CORPUS_ID, PARAGRAPH_ID, Column, Table

_STRATUM = Column("stratum", "VARCHAR", "Occurrences in the corpus, kind of text and third of rarity, drawn together.")
_SUBJECT = Column("screen_checkpoint_id", "VARCHAR", "Checkpoint that was asked.")

SCREENING_WINDOWS = Table(
    "screening_windows",
    "corpus",
    "one per window that is screened; windows of equal contents are one",
    "Windows drawn from strata of the corpus to be asked for recital; empty unless the profile says paragraphs.screen.",
    (
        CORPUS_ID,
        PARAGRAPH_ID,
        Column("document_id", "BIGINT", "Document the window lies in, of equal contents the first."),
        Column("token_offset", "BIGINT", "Position of its first token in the corpus' token stream."),
        Column("subset", "VARCHAR", "Part of the corpus."),
        Column("content_kind", "VARCHAR", "Kind of text, as in paragraphs."),
        Column("occurrence_count", "BIGINT", "Times the window occurs in the corpus, overlaps included."),
        Column("prefix_rarity_bits", "DOUBLE", "Mean surprisal of the prefix's tokens under the unigrams.", "bits"),
        _STRATUM,
        Column("window_count", "BIGINT", "Drawn windows of these contents.", "windows"),
        Column("weight", "DOUBLE", "Windows of the corpus it stands for; the sum is their number.", "windows"),
    ),
)

SCREENED_WINDOWS = Table(
    "screened_windows",
    "corpus",
    "one per screened window",
    "How far one checkpoint recites each of them: the first phase of the sample.",
    (
        CORPUS_ID,
        PARAGRAPH_ID,
        _SUBJECT,
        Column("exact_match", "INTEGER", "Leading tokens of the continuation recited.", "tokens"),
        Column("top2_margin", "DOUBLE", "Smallest top-1 minus top-2 logit up to the divergence.", "logits"),
    ),
)

PARAGRAPH_WEIGHTS = Table(
    "paragraph_weights",
    "corpus",
    "one per paragraph of a screened corpus",
    "Why a window became a paragraph, and how much of the corpus it stands for: the second phase of the sample.",
    (
        CORPUS_ID,
        PARAGRAPH_ID,
        _SUBJECT,
        Column(
            "sampling_group",
            "VARCHAR",
            "recited; nearly recited (at least 80 %); furthest recited (the next, where those are few); other (drawn "
            "from the same strata).",
        ),
        _STRATUM,
        Column("screened_exact_match", "INTEGER", "Exact match that the screening found.", "tokens"),
        Column("inclusion_probability", "DOUBLE", "Chance that the window became a paragraph once it was screened."),
        Column("weight", "DOUBLE", "Windows of the corpus it stands for, both phases together.", "windows"),
    ),
)

TABLES = (SCREENING_WINDOWS, SCREENED_WINDOWS, PARAGRAPH_WEIGHTS)
