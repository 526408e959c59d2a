"""Tables about a corpus beyond its text: what was left out, how its parts differ, what other projects released."""

from warehouse.registry.schema import CORPUS_ID, Column, Table

_SUBSET = Column("subset", "VARCHAR", "Part of the corpus.", key=True)

SKIPPED_DOCUMENTS = Table(
    "skipped_documents",
    "corpus",
    "one per corpus and reason",
    "Documents that were left out: empty ones always, broken ones where the profile says on_bad = 'skip'.",
    (
        CORPUS_ID,
        Column("reason", "VARCHAR", "Why: empty document, broken JSON, damaged file and so on.", key=True),
        Column("document_count", "BIGINT", "Documents left out; a damaged file counts once.", "documents"),
        Column("first_example", "VARCHAR", "What was wrong with the first of them, and where."),
    ),
)

SUBSET_UNIGRAMS = Table(
    "subset_unigrams",
    "corpus",
    "one per subset of a corpus and token id that occurs in it",
    "Unigram distribution and rarity within each subset.",
    (
        CORPUS_ID,
        Column("subset", "VARCHAR", "Part of the corpus; '(between documents)' holds end-of-text tokens.", key=True),
        Column("token_id", "INTEGER", "Token id.", key=True),
        Column("token_count", "BIGINT", "Occurrences in the subset.", "tokens"),
        Column("probability", "DOUBLE", "token_count / tokens of the subset."),
        Column("surprisal_bits", "DOUBLE", "As in unigrams, with the subset's tokens as total.", "bits"),
        Column("rarity_rank", "INTEGER", "Dense rank by count among the subset's ids, 0 = rarest."),
    ),
)

WORDS = Table(
    "words",
    "corpus",
    "one per subset and word; empty unless the profile says unigrams.words = true",
    "Word-level counts, independent of the tokenizer: Unicode form C, case folded.",
    (
        CORPUS_ID,
        _SUBSET,
        Column("word", "VARCHAR", "Letters with inner apostrophes and hyphens, or digits.", key=True),
        Column("word_count", "BIGINT", "Occurrences in the subset.", "words"),
        Column("document_count", "BIGINT", "Documents of the subset that hold it.", "documents"),
    ),
)

PARAGRAPH_FILTERS = Table(
    "paragraph_filters",
    "corpus",
    "one per filter on the way from drawn windows to paragraphs",
    "What each filter dropped, in the order they were applied.",
    (
        CORPUS_ID,
        Column("step", "INTEGER", "Order of application, 0-based.", key=True),
        Column(
            "filter",
            "VARCHAR",
            "is_varied, has_no_filter_string, is_distinct, occurs_once and so on.",
        ),
        Column("dropped_count", "BIGINT", "Windows that passed every filter before and failed this one.", "windows"),
        Column(
            "dropped_alone_count",
            "BIGINT",
            "Windows it would drop if it were alone; empty where a filter only saw what the others left.",
            "windows",
            nullable=True,
        ),
        Column("kept_count", "BIGINT", "Windows left after it.", "windows"),
    ),
)

SUBSET_COVERAGE = Table(
    "subset_coverage",
    "corpus",
    "one per subset of a corpus",
    "How well the sampled paragraphs cover the subsets.",
    (
        CORPUS_ID,
        _SUBSET,
        Column("token_count", "BIGINT", "Tokens of the subset's documents.", "tokens"),
        Column("token_share", "DOUBLE", "Share of the tokens of all documents."),
        Column("paragraph_count", "BIGINT", "Sampled paragraphs; 0 where the sample has none.", "paragraphs"),
        Column("paragraph_share", "DOUBLE", "Share of all sampled paragraphs."),
    ),
)

RELEASED_PARAGRAPHS = Table(
    "released_paragraphs",
    "corpus",
    "one per row of an imported release, repeats included",
    "Paragraphs that other projects released, with what they released about them. Text that a model wrote is marked "
    "and is part of no corpus count.",
    (
        CORPUS_ID,
        Column("row", "BIGINT", "Row of the import, 0-based.", key=True),
        Column("release", "VARCHAR", "Which release: lm-extraction-benchmark, localizing-paragraph-memorization."),
        Column("source_file", "VARCHAR", "File of the release."),
        Column("source_row", "BIGINT", "Row of that file, 0-based."),
        Column("split", "VARCHAR", "Split of the release.", nullable=True),
        Column("paragraph_id", "VARCHAR", "Content hash of the token ids."),
        Column("token_ids", "INTEGER[]", "Token ids, prefix then continuation: the record."),
        Column("preceding_token_ids", "INTEGER[]", "Tokens before the prefix in the corpus.", nullable=True),
        Column("prefix_length", "INTEGER", "Tokens of the prefix.", "tokens"),
        Column("continuation_length", "INTEGER", "Tokens of the continuation.", "tokens"),
        Column("unique_token_count", "INTEGER", "Distinct token ids.", "tokens"),
        Column("continuation_origin", "VARCHAR", "Who wrote the continuation: 'corpus', or 'model' (greedy decoding)."),
        Column(
            "is_corpus_text",
            "BOOLEAN",
            "Whether the continuation equals the corpus': a model's does where exact match is complete; empty where "
            "the release does not say.",
            nullable=True,
        ),
        Column("exact_match_lowest", "INTEGER", "Lower bound of exact match in the file's name.", nullable=True),
        Column("exact_match_highest", "INTEGER", "Upper bound of exact match in the file's name.", nullable=True),
        Column("released_id", "BIGINT", "Identifier in the release.", nullable=True),
        Column("released_text", "VARCHAR", "Text in the release.", nullable=True),
        Column("occurrence_count", "BIGINT", "Released number of occurrences in the corpus.", nullable=True),
        Column("exact_match", "DOUBLE", "Released exact match.", "tokens", nullable=True),
        Column("nll_nats", "DOUBLE", "Released negative log-likelihood of the continuation.", "nats", nullable=True),
    ),
)

TABLES = (SKIPPED_DOCUMENTS, SUBSET_UNIGRAMS, WORDS, PARAGRAPH_FILTERS, SUBSET_COVERAGE, RELEASED_PARAGRAPHS)
