"""Tables of the corpus: what was read, how it was cut, how rare its tokens are."""

from warehouse.registry.schema import CORPUS_ID, PARAGRAPH_ID, Column, Table

CORPORA = Table(
    "corpora",
    "corpus",
    "one per corpus",
    "Corpora that were read and tokenized.",
    (
        CORPUS_ID,
        Column("source", "VARCHAR", "Where the text came from."),
        Column("tokenizer", "VARCHAR", "Tokenizer folder or hub id the corpus was tokenized with."),
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
        Column("tokens_folder", "VARCHAR", "Folder of tokens.json, which lists the token shards and where they lie."),
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
            "content_kind", "VARCHAR", "Code, markup, prose, list, licence … by the rules of corpus_stats/kinds.py."
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
            "Times the model met the paragraph in training: copies on the ladder, a released count, else occurrences.",
        ),
        Column(
            "near_duplicate_cluster",
            "INTEGER",
            "Cluster of near duplicates (Jaccard of token shingles); the unit of every statistic.",
        ),
        Column("straddles_document", "BOOLEAN", "Whether the window crosses a document boundary."),
        Column(
            "continuation_origin",
            "VARCHAR",
            "Who wrote the continuation: 'corpus', or 'model' in a release of a model's own text.",
        ),
    ),
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
        Column("probability", "DOUBLE", "token_count / total; 0 for unseen tokens."),
        Column(
            "surprisal_bits",
            "DOUBLE",
            "add_one: -log2((token_count + 1) / (total + vocabulary)), finite for unseen tokens; null: "
            "-log2(token_count / total), empty for unseen tokens.",
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
    ),
)

TABLES = (CORPORA, DOCUMENTS, PARAGRAPHS, UNIGRAMS, DUPLICATION_LADDER)
