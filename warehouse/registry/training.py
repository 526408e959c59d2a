"""Tables of what the quickstart trains: its tokenizer and its model."""

from warehouse.registry.schema import CORPUS_ID, Column, Table

TOKENIZERS = Table(
    "tokenizers",
    "corpus",
    "one per corpus",
    "The tokenizer each corpus is read with.",
    (
        CORPUS_ID,
        Column("source", "VARCHAR", "Folder or hub id; what AutoTokenizer takes."),
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

TABLES = (TOKENIZERS, UNIGRAM_COUNTS, TRAINING_STEPS)
