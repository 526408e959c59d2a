"""Tables of the corpus: what was read, how it was cut, how rare its tokens are."""

from warehouse.registry.schema import CORPUS_ID, PARAGRAPH_ID, Column, Table

CORPORA = Table(
    "corpora",
    "corpus",
    "one per corpus",
    "Corpora that were read and tokenized.",
    (
        CORPUS_ID,
        Column("source", "VARCHAR", "Where the text came from.", is_path=True),
        Column("tokenizer", "VARCHAR", "Tokenizer folder or hub id the corpus was tokenized with.", is_path=True),
        Column("tokenizer_sha256", "VARCHAR", "Fingerprint of the tokenizer's vocabulary and merges."),
        Column("vocabulary_count", "BIGINT", "Token ids the tokenizer can emit.", "tokens"),
        Column("document_count", "BIGINT", "Documents read.", "documents"),
        Column(
            "skipped_document_count", "BIGINT", "Documents left out because they were empty or broken.", "documents"
        ),
        Column("token_count", "BIGINT", "Tokens of the stream; equals the sum of the unigram counts.", "tokens"),
        Column("separator_count", "BIGINT", "Tokens between documents, such as end of text; 0 for text.", "tokens"),
        Column("byte_count", "BIGINT", "Bytes of text read, as UTF-8.", "bytes"),
        Column("fingerprint", "VARCHAR", "sha256 over the names and contents of all documents, in order."),
        Column(
            "tokens_folder",
            "VARCHAR",
            "Folder of tokens.json, which lists the token shards and where they lie.",
            is_path=True,
        ),
    ),
)

DOCUMENTS = Table(
    "documents",
    "corpus",
    "one per document of a corpus",
    "Where each document lies in the token stream.",
    (
        CORPUS_ID,
        Column("document_id", "BIGINT", "Index of the document in reading order, 0-based.", key=True),
        Column("name", "VARCHAR", "Path or record name within the source."),
        Column("subset", "VARCHAR", "Part of the corpus, e.g. the Pile set name or the top-level package."),
        Column("token_offset", "BIGINT", "Position of the first token in the corpus' token stream, 0-based."),
        Column("token_count", "BIGINT", "Tokens of the document.", "tokens"),
        Column("sha256", "VARCHAR", "Hash of the text."),
    ),
)

PARAGRAPHS = Table(
    "paragraphs",
    "corpus",
    "one per sampled paragraph",
    "Sampled windows of consecutive tokens: a prefix and the continuation a model may recite.",
    (
        PARAGRAPH_ID,
        Column("corpus_id", "VARCHAR", "Corpus the paragraph was sampled from."),
        Column("document_id", "BIGINT", "Document the paragraph lies in.", nullable=True),
        Column("token_offset", "BIGINT", "Position of the first token in the corpus' token stream.", nullable=True),
        Column("subset", "VARCHAR", "Part of the corpus.", nullable=True),
        Column("token_ids", "INTEGER[]", "Token ids, prefix then continuation: the record."),
        Column("text", "VARCHAR", "Decoded token ids, for people; need not encode back to the same ids."),
        Column(
            "content_kind",
            "VARCHAR",
            "Code, markup, prose, list, licence … by the rules of corpus_stats/paragraphs/kinds.py.",
        ),
        Column("prefix_length", "INTEGER", "Tokens of the prefix.", "tokens"),
        Column("continuation_length", "INTEGER", "Tokens of the continuation.", "tokens"),
        Column("unique_token_count", "INTEGER", "Distinct token ids.", "tokens"),
        Column("occurrence_count", "BIGINT", "Times the whole window occurs in the corpus, overlaps included."),
        Column("prefix_occurrence_count", "BIGINT", "Times the prefix alone occurs in the corpus."),
        Column(
            "prefix_end_occurrence_count",
            "BIGINT",
            "Times the last 32 tokens of the prefix (all of a shorter one) occur in the corpus.",
        ),
        Column("occurrence_stratum", "VARCHAR", "Bin of occurrence_count of doubling width: 0, 1, 2-3, 4-7 and so on."),
        Column(
            "duplication_count",
            "BIGINT",
            "Times the model met the paragraph in training: copies on the ladder, a released count, else occurrences; "
            "empty where a corpus of several releases says nothing of it.",
            nullable=True,
        ),
        Column(
            "near_duplicate_cluster",
            "INTEGER",
            "Paragraphs linked by Jaccard similarity of token shingles or a shared run of tokens at any offset; the "
            "unit of every statistic.",
        ),
        Column("straddles_document", "BOOLEAN", "Whether the window crosses a document boundary."),
        Column(
            "continuation_origin",
            "VARCHAR",
            "Who wrote the continuation: 'corpus', or 'model' in a release of a model's own text.",
        ),
    ),
    version=2,
)

UNIGRAMS = Table(
    "unigrams",
    "corpus",
    "one per token id of a corpus' tokenizer",
    "Corpus-level unigram distribution and rarity.",
    (
        CORPUS_ID,
        Column("token_id", "INTEGER", "Token id.", key=True),
        Column("token", "VARCHAR", "The token as text, bytes that are no UTF-8 replaced."),
        Column("token_count", "BIGINT", "Occurrences in the corpus.", "tokens"),
        Column(
            "probability",
            "DOUBLE",
            "add_one: (token_count + 1) / (total + vocabulary), above 0 for unseen tokens; null: token_count / total.",
        ),
        Column(
            "surprisal_bits",
            "DOUBLE",
            "-log2(probability): finite for unseen tokens with add_one, empty for them with null.",
            "bits",
            nullable=True,
        ),
        Column(
            "rarity_rank",
            "INTEGER",
            "Dense rank by count, 0 = rarest; equal counts share a rank. Under the policy null seen tokens only.",
            nullable=True,
        ),
        Column("unseen_policy", "VARCHAR", "How unseen tokens are treated: add_one or null (unigrams.unseen)."),
    ),
    version=2,
)

DUPLICATION_LADDER = Table(
    "duplication_ladder",
    "corpus",
    "one per paragraph with a planted number of copies",
    "How often the quickstart's training run shows each paragraph: the known cause of recital.",
    (
        PARAGRAPH_ID,
        Column("corpus_id", "VARCHAR", "Corpus the paragraph was sampled from."),
        Column("duplication_group", "VARCHAR", "Rung of the ladder: ×256, ×64, … ×1, or held out (×0)."),
        Column("copies_count", "BIGINT", "Times the training run shows the paragraph.", "copies"),
        Column(
            "complete_exposure_count",
            "BIGINT",
            "Those of them that lie within one row; the end of a row cuts the others in two.",
            "copies",
        ),
    ),
    version=2,
)


EXPOSURES = Table(
    "exposures",
    "corpus",
    "one per paragraph and training sequence that holds it or a part of it; empty where the order is not known",
    "When training read each paragraph, and where in the sequence: the quickstart's own, or a suite's published order.",
    (
        PARAGRAPH_ID,
        Column("exposure", "INTEGER", "Number of the exposure of this paragraph in order of time, 0-based.", key=True),
        Column("corpus_id", "VARCHAR", "Corpus the paragraph was sampled from."),
        Column("checkpoints", "VARCHAR", "Checkpoints that were trained in this order, as a pattern of their ids."),
        Column("training_sequence", "BIGINT", "Place of the sequence in the order of training, 0-based."),
        Column(
            "training_step",
            "BIGINT",
            "Optimizer step that reads the sequence, 1-based: a checkpoint of step t has read all of step t.",
            "steps",
        ),
        Column("sequence_offset", "INTEGER", "Place of the first held token in the sequence, 0-based.", "position"),
        Column("paragraph_offset", "INTEGER", "The same token's place in the paragraph; 0 unless cut.", "position"),
        Column("held_count", "INTEGER", "Tokens of the paragraph that the sequence holds.", "tokens"),
        Column("is_whole", "BOOLEAN", "Whether it holds the whole paragraph."),
        Column(
            "token_offset",
            "BIGINT",
            "This occurrence in the corpus' token stream; null where the training text was made from a ladder.",
            nullable=True,
        ),
    ),
)


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
        Column("probability", "DOUBLE", "As in unigrams, with the subset's tokens as total."),
        Column("surprisal_bits", "DOUBLE", "As in unigrams, with the subset's tokens as total.", "bits"),
        Column("rarity_rank", "INTEGER", "Dense rank by count among the subset's ids, 0 = rarest."),
    ),
    version=2,
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


TOKENIZERS = Table(
    "tokenizers",
    "corpus",
    "one per corpus",
    "The tokenizer each corpus is read with.",
    (
        CORPUS_ID,
        Column("source", "VARCHAR", "Folder or hub id; what AutoTokenizer takes.", is_path=True),
        Column("is_trained_here", "BOOLEAN", "Whether it was trained on this corpus."),
        Column("vocabulary_count", "BIGINT", "Token ids.", "tokens"),
        Column("tokenizer_sha256", "VARCHAR", "Fingerprint of vocabulary and merges."),
    ),
)


TRAINING_STEPS = Table(
    "training_steps",
    "corpus",
    "one per optimizer step of the quickstart's training run",
    "How the training run went.",
    (
        CORPUS_ID,
        Column("training_step", "BIGINT", "Optimizer step, 1-based: parameters after it.", key=True),
        Column("loss_nats", "DOUBLE", "Mean next-token NLL of the batch.", "nats"),
        Column("learning_rate", "DOUBLE", "Learning rate of the step."),
        Column("checkpoint_id", "VARCHAR", "Checkpoint saved after the step.", nullable=True),
    ),
)


UNIGRAM_COUNTS = Table(
    "unigram_counts",
    "corpus",
    "one per token shard and token id that occurs in it",
    "Token counts by shard; their sum is the unigram distribution.",
    (
        CORPUS_ID,
        Column("shard", "INTEGER", "Token shard, 0-based.", key=True),
        Column("token_id", "INTEGER", "Token id.", key=True),
        Column("token_count", "BIGINT", "Occurrences in the shard.", "tokens"),
    ),
)

TABLES = (
    CORPORA,
    DOCUMENTS,
    PARAGRAPHS,
    UNIGRAMS,
    DUPLICATION_LADDER,
    EXPOSURES,
    SKIPPED_DOCUMENTS,
    SUBSET_UNIGRAMS,
    WORDS,
    PARAGRAPH_FILTERS,
    SUBSET_COVERAGE,
    RELEASED_PARAGRAPHS,
    TOKENIZERS,
    UNIGRAM_COUNTS,
    TRAINING_STEPS,
)
