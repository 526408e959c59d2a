"""Tables of scans: which passages of a document a checkpoint knows by heart, position by position."""

from warehouse.registry.schema import Column, Table, with_interval

SCAN_ID = Column(
    "scan_id", "VARCHAR", "One run of `rarecall scan`, or the checkpoint that scanned its profile.", key=True
)
DOCUMENT = Column("document", "VARCHAR", "Name of the document within the scan.", key=True)
CHECKPOINT = Column("checkpoint_id", "VARCHAR", "Checkpoint that was asked.")
LOGPROB = "Sum of log p over the continuation of the best window: log p_z of (n, p)-discoverable extraction."

SCANS = Table(
    "scans",
    "scan",
    "one per scan and document",
    "Documents that were scanned, how, how much of each is recited, and how much of that the finder finds.",
    (
        SCAN_ID,
        DOCUMENT,
        CHECKPOINT,
        Column("source", "VARCHAR", "File the text was read from; - is standard input.", is_path=True),
        Column("document_sha256", "VARCHAR", "Hash of the text as UTF-8."),
        Column("character_count", "BIGINT", "Characters of the text.", "characters"),
        Column("token_count", "BIGINT", "Tokens of the text.", "tokens"),
        Column("prefix_length", "INTEGER", "Tokens that are shown.", "tokens"),
        Column("continuation_length", "INTEGER", "Tokens that are to be recited.", "tokens"),
        Column("stride", "INTEGER", "Tokens between two starts.", "tokens"),
        Column("method", "VARCHAR", "exact, screened or anchored (docs/scan.md)."),
        Column("row_starts", "INTEGER", "Starts that a row of the anchored pass reads.", "starts"),
        Column("least_match", "INTEGER", "Shorter recitals make no passage.", "tokens"),
        Column("start_count", "BIGINT", "Starts of the document.", "starts"),
        Column("exact_start_count", "BIGINT", "Of these, measured on their own.", "starts"),
        Column("memorized_start_count", "BIGINT", "Of these, recited in full.", "starts"),
        Column("passage_count", "INTEGER", "Passages.", "passages"),
        Column("longest_passage_count", "INTEGER", "Tokens of the longest passage; 0 without one.", "tokens"),
        Column("recited_token_count", "BIGINT", "Tokens inside a passage.", "tokens"),
        Column("memorized_token_count", "BIGINT", "Tokens inside a window recited in full.", "tokens"),
        Column("sampled_start_count", "BIGINT", "Starts of the random sample.", "starts"),
        Column("sampled_recited_count", "BIGINT", "Of these, recited in full.", "starts"),
        *with_interval("recall", "", "Share of those that lie in a passage the finder led to."),
        Column("null_text", "VARCHAR", "What the null was measured on: shuffled sentences, or the name of a file."),
    ),
)

SCAN_POSITIONS = Table(
    "scan_positions",
    "scan",
    "one per scan, document and start",
    "The continuation that starts at each token of a document: how far it is recited, and how probable it is.",
    (
        SCAN_ID,
        DOCUMENT,
        Column("position", "BIGINT", "First token of the continuation, counted from 0.", "position", key=True),
        CHECKPOINT,
        Column("line", "INTEGER", "Line of the text it stands in, from 1."),
        Column("first_character", "BIGINT", "Character of the text it begins at, from 0."),
        Column("way", "VARCHAR", "exact, screened, confirmed or sampled; anchored: no window of its own was measured."),
        Column("is_sampled", "BOOLEAN", "Whether it belongs to the random sample."),
        Column(
            "exact_match",
            "INTEGER",
            "Greedy tokens equal to the truth before the first mismatch.",
            "tokens",
            nullable=True,
        ),
        Column("is_memorized", "BOOLEAN", "Whether the whole continuation is recited.", nullable=True),
        Column("continuation_logprob_nats", "DOUBLE", "Sum of log p over the continuation.", "nats", nullable=True),
        Column("entropy_nats", "DOUBLE", "Mean entropy over the continuation.", "nats", nullable=True),
        Column("top2_margin", "DOUBLE", "Smallest top-1 minus top-2 logit up to the miss.", "logits", nullable=True),
        Column(
            "token_accuracy",
            "DOUBLE",
            "Share of true tokens in what is written where a recital breaks off.",
            "share",
            nullable=True,
        ),
        Column(
            "rouge_l",
            "DOUBLE",
            "Longest common subsequence of that and the truth, near-verbatim overlap.",
            "share",
            nullable=True,
        ),
        Column(
            "anchored_match",
            "INTEGER",
            "exact_match with the longer context of the anchored pass.",
            "tokens",
            nullable=True,
        ),
        Column("anchored_logprob_nats", "DOUBLE", "Log p with that context.", "nats", nullable=True),
        Column("anchored_entropy_nats", "DOUBLE", "Mean entropy with that context.", "nats", nullable=True),
        Column("anchored_context_length", "INTEGER", "Tokens of that context.", "tokens", nullable=True),
    ),
)

SCAN_PASSAGES = Table(
    "scan_passages",
    "scan",
    "one per scan, document and passage",
    "Maximal stretches of a document that are recited from some prefix of it.",
    (
        SCAN_ID,
        DOCUMENT,
        Column("passage", "INTEGER", "Number of the passage in the order of the text, from 0.", key=True),
        CHECKPOINT,
        Column("first_position", "BIGINT", "Its first token.", "position"),
        Column("token_count", "INTEGER", "Its tokens.", "tokens"),
        Column("first_line", "INTEGER", "Line it begins in, from 1."),
        Column("last_line", "INTEGER", "Line it ends in."),
        Column("first_character", "BIGINT", "Character it begins at, from 0."),
        Column("character_count", "BIGINT", "Its characters.", "characters"),
        Column("passage_text", "VARCHAR", "Its text."),
        Column("prefix_text", "VARCHAR", "The text of the prefix in front of its best window."),
        Column("written_text", "VARCHAR", "What greedy decoding writes after that prefix."),
        Column("start_count", "INTEGER", "Recited starts in it that were measured on their own.", "starts"),
        Column("memorized_start_count", "INTEGER", "Of these, recited in full.", "starts"),
        Column("longest_match", "INTEGER", "Longest recital of a window in it.", "tokens"),
        Column("best_position", "BIGINT", "Start of the longest, then most probable window.", "position"),
        Column("continuation_logprob_nats", "DOUBLE", LOGPROB, "nats"),
        Column(
            "samples_needed",
            "DOUBLE",
            "Samples after which that continuation has come up with probability 1/2.",
            "samples",
        ),
        Column("free_run_count", "INTEGER", "Tokens recited in one go after the prefix of its first token.", "tokens"),
        Column("rouge_l", "DOUBLE", "Near-verbatim overlap of written_text and the truth.", "share"),
        Column(
            "surprise_bits", "DOUBLE", "Bits a general compressor needs for it, knowing the text before it.", "bits"
        ),
        Column(
            "guessable",
            "VARCHAR",
            "Why it can be guessed unseen: counting, repetition, few different tokens, a copied prefix.",
            nullable=True,
        ),
        Column(
            "null_share",
            "DOUBLE",
            "Share of the null's windows recited as far as its longest, one added to both counts.",
            "share",
        ),
        Column(
            "near_duplicate_cluster",
            "INTEGER",
            "Passages of the scan that share a run or most shingles have one label.",
        ),
        Column(
            "occurrence_count",
            "BIGINT",
            "Occurrences of its best continuation in the checkpoint's corpus.",
            "occurrences",
            nullable=True,
        ),
        Column(
            "prefix_rarity_bits",
            "DOUBLE",
            "Mean surprisal of that prefix' tokens in the checkpoint's corpus.",
            "bits",
            nullable=True,
        ),
    ),
)

SCAN_REACH = Table(
    "scan_reach",
    "scan",
    "one per scan, document, text and length",
    "How often windows are recited so far, in the document and in its null.",
    (
        SCAN_ID,
        DOCUMENT,
        Column(
            "reach_text", "VARCHAR", "document, or null: text the model cannot have by heart as it stands.", key=True
        ),
        Column("match", "INTEGER", "Tokens recited at least.", "tokens", key=True),
        CHECKPOINT,
        *with_interval("share", "", "Share of starts recited that far."),
        Column("start_count", "BIGINT", "Starts behind it.", "starts"),
    ),
)

SCAN_TRIGGERS = Table(
    "scan_triggers",
    "scan",
    "one per scan, document, passage and prefix position",
    "What one changed token of the prefix does to the recital of a passage (`rarecall scan --triggers`).",
    (
        SCAN_ID,
        DOCUMENT,
        Column("passage", "INTEGER", "Number of the passage.", key=True),
        Column(
            "prefix_position", "INTEGER", "Position in the prefix of its best window, from 0.", "position", key=True
        ),
        CHECKPOINT,
        Column("token", "VARCHAR", "The token that was changed."),
        Column("replacement", "VARCHAR", "What stood in its place."),
        Column("exact_match", "INTEGER", "Tokens still recited.", "tokens"),
        Column("em_drop", "INTEGER", "Tokens lost.", "tokens"),
    ),
)

TABLES = (SCANS, SCAN_POSITIONS, SCAN_PASSAGES, SCAN_REACH, SCAN_TRIGGERS)
