"""Tables of the scoring engine beside the scores: precision, and how little context recital needs."""

from warehouse.registry.schema import CHECKPOINT_ID, PARAGRAPH_ID, Column, Table

SCORING_PRECISION = Table(
    "scoring_precision",
    "checkpoint",
    "one per checkpoint and shard of the sample",
    "In which precision paragraphs were scored, and how many exact matches half precision would have got wrong.",
    (
        CHECKPOINT_ID,
        Column("shard", "INTEGER", "Shard of the sample, 0-based.", key=True),
        Column("dtype", "VARCHAR", "Precision of the pass: float32, bfloat16 or float16."),
        Column("margin_bound", "DOUBLE", "Rows with a smaller margin are scored again in float32; 0 there.", "logits"),
        Column("paragraph_count", "INTEGER", "Paragraphs of the shard.", "paragraphs"),
        Column("rescored_count", "INTEGER", "Of these, scored again.", "paragraphs"),
        Column("flipped_count", "INTEGER", "Of these, with another exact match in float32.", "paragraphs"),
    ),
)

EXTRACTABILITY = Table(
    "extractability",
    "checkpoint",
    "one per checkpoint, paragraph and length of context",
    "Is the continuation recited after the last k tokens of the prefix alone (k-extractability)?",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("context_length", "INTEGER", "Last tokens of the prefix that are shown, k.", "tokens", key=True),
        Column("exact_match", "INTEGER", "Greedy continuation tokens equal to the truth before the miss.", "tokens"),
        Column("is_extractable", "BOOLEAN", "Whether the whole continuation is recited."),
        Column("top2_margin", "DOUBLE", "Smallest top-1 minus top-2 logit up to and including the miss.", "logits"),
    ),
)

TABLES = (SCORING_PRECISION, EXTRACTABILITY)
