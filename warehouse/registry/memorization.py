"""Tables of the checkpoints and of what they recite."""

from warehouse.registry.schema import CHECKPOINT_ID, PARAGRAPH_ID, Column, Table

CHECKPOINTS = Table(
    "checkpoints",
    "checkpoint",
    "one per checkpoint",
    "Checkpoints that passed inspection: complete, known architecture, right tokenizer, finite weights.",
    (
        CHECKPOINT_ID,
        Column("corpus_id", "VARCHAR", "Corpus the checkpoint is measured against."),
        Column("source", "VARCHAR", "What `from_pretrained` takes: a folder or a hub id.", is_path=True),
        Column("revision", "VARCHAR", "Hub revision.", nullable=True),
        Column("training_step", "BIGINT", "Optimizer steps taken.", "steps", nullable=True),
        Column("architecture", "VARCHAR", "model_type of the transformers configuration."),
        Column("layer_count", "INTEGER", "Transformer blocks.", "layers"),
        Column("head_count", "INTEGER", "Attention heads per layer; 0 in state-space models.", "heads"),
        Column("hidden_size", "INTEGER", "Width of the residual stream."),
        Column("context_length", "INTEGER", "Longest input the checkpoint takes; 2147483647: no limit.", "tokens"),
        Column("parameter_count", "BIGINT", "Parameters, tied ones once."),
        Column("weights_sha256", "VARCHAR", "Hash over the weight files."),
        Column("tokenizer_sha256", "VARCHAR", "Fingerprint of the tokenizer beside the weights."),
    ),
)

VOCABULARIES = Table(
    "vocabularies",
    "checkpoint",
    "one per checkpoint",
    "What a checkpoint reads before every paragraph, and which of its tokens stand for no text.",
    (
        CHECKPOINT_ID,
        Column("row_count", "INTEGER", "Rows of its token embedding.", "tokens"),
        Column("known_count", "INTEGER", "Of these, tokens that its tokenizer knows.", "tokens"),
        Column("beginning_id", "INTEGER", "Token before every paragraph it reads; null for none.", nullable=True),
        Column("beginning_reason", "VARCHAR", "Why this one, or none."),
        Column(
            "undrawn_ids",
            "INTEGER[]",
            "Special tokens and rows that no text gives: never replacements, never second choices.",
        ),
    ),
)

SCORES = Table(
    "scores",
    "checkpoint",
    "one per checkpoint and paragraph",
    "How far the checkpoint recites each paragraph, from one teacher-forced pass.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column(
            "exact_match",
            "INTEGER",
            "Greedy continuation tokens equal to the truth before the first mismatch.",
            "tokens",
        ),
        Column("em_bin", "VARCHAR", "Bin of exact_match: 0-10, 11-29, 30-49, 50 for 50 continuation tokens."),
        Column("is_memorized", "BOOLEAN", "Whether the whole continuation is recited."),
        Column(
            "continuation_nll_nats",
            "DOUBLE",
            "Mean over continuation tokens of -log p(token | true text before it).",
            "nats",
        ),
        Column(
            "prefix_nll_nats",
            "DOUBLE",
            "Mean over prefix tokens after the first of -log p(token | text before it).",
            "nats",
        ),
        Column(
            "continuation_logprob_nats",
            "DOUBLE",
            "Sum of log p over the continuation: log p_z of discoverable extraction.",
            "nats",
        ),
        Column("min_k20_nats", "DOUBLE", "Mean log p of the 20 % least likely tokens of the window (min-k %).", "nats"),
        Column(
            "min_k_plus_plus",
            "DOUBLE",
            "Min-k %++: the same of log p standardised by the next-token distribution.",
            "standard deviations",
        ),
        Column(
            "zlib_ratio",
            "DOUBLE",
            "Mean NLL of the window over the bytes its text compresses to (zlib entropy ratio).",
            "nats/byte",
        ),
        Column(
            "top2_margin", "DOUBLE", "Smallest top-1 minus top-2 logit up to and including the divergence.", "logits"
        ),
        Column(
            "divergence_position",
            "INTEGER",
            "Position of the first mismatching token in the paragraph.",
            "position",
            nullable=True,
        ),
        Column(
            "is_rescored", "BOOLEAN", "Whether half precision left the row in doubt, and float32 gave these numbers."
        ),
    ),
)

TOKEN_SCORES = Table(
    "token_scores",
    "checkpoint",
    "one per checkpoint, paragraph and position from 1",
    "What the checkpoint makes of every token, given the true tokens before it.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column(
            "position",
            "INTEGER",
            "Position in the paragraph, 0-based; position 0 has no context.",
            "position",
            key=True,
        ),
        Column("token_id", "INTEGER", "The true token."),
        Column("nll_nats", "FLOAT", "-log p(token | true tokens before it).", "nats"),
        Column("argmax_id", "INTEGER", "The most likely token."),
        Column("entropy_nats", "FLOAT", "Entropy of the next-token distribution.", "nats"),
        Column("margin", "FLOAT", "Top-1 minus top-2 logit.", "logits"),
    ),
)

GENERATIONS = Table(
    "generations",
    "checkpoint",
    "one per checkpoint and paragraph that is not recited to the end",
    "What greedy decoding writes instead of the true continuation.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("generated_ids", "INTEGER[]", "Greedy continuation of the prefix."),
        Column("generated_text", "VARCHAR", "The same as text."),
        Column("token_accuracy", "DOUBLE", "Share of positions with the true token, wherever they are.", "share"),
        Column("levenshtein", "INTEGER", "Edit distance between generated and true token ids.", "tokens"),
        Column("rouge_l", "DOUBLE", "F-measure of the longest common subsequence of token ids.", "share"),
        Column("bleu", "DOUBLE", "BLEU-4 over token ids, smoothed.", "share"),
    ),
)


TRACES = Table(
    "traces",
    "checkpoint",
    "one per checkpoint, paragraph that is not recited to the end, text and longest stretch of it in the corpus",
    "Is what the model wrote instead also from the corpus? Stretches of at least 8 tokens that stand there verbatim.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column(
            "traced_text",
            "VARCHAR",
            "written: the model's continuation, anywhere in the corpus. true: the corpus' own, anywhere but at its own "
            "place; what real text shares with other places, the null of the first.",
            key=True,
        ),
        Column("position", "INTEGER", "First token of the stretch in the paragraph, 0-based.", "position", key=True),
        Column("token_count", "INTEGER", "Tokens of the stretch; it lies in no longer one that occurs.", "tokens"),
        Column(
            "divergent_count", "INTEGER", "Of these, tokens at or behind the first that the model misses.", "tokens"
        ),
        Column("occurrence_count", "BIGINT", "Times the stretch occurs in the corpus."),
        Column("token_offsets", "BIGINT[]", "Positions of its first occurrences in the token stream, at most 5."),
        Column(
            "document_id",
            "BIGINT",
            "Document of the first; null where it lies across two.",
            nullable=True,
        ),
    ),
)


RELEASED_AGREEMENT = Table(
    "released_agreement",
    "checkpoint",
    "one per checkpoint and released paragraph whose continuation a model wrote; empty for other corpora",
    "How far a checkpoint writes what another run's model wrote after the same prefix. No measure of recital.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("agreed_count", "INTEGER", "Greedy tokens equal to the other run's before they differ.", "tokens"),
        Column("is_same", "BOOLEAN", "Whether the two wrote the same to the end."),
        Column("nll_nats", "DOUBLE", "Mean NLL of the other run's continuation under this checkpoint.", "nats"),
        Column("generated_ids", "INTEGER[]", "What this checkpoint writes; empty where it is the same.", nullable=True),
        Column("token_accuracy", "DOUBLE", "Share of positions with the same token, wherever they are.", "share"),
    ),
)


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

RECALL_BY_OFFSET = Table(
    "recall_by_offset",
    "checkpoint",
    "one per checkpoint, paragraph, text before it and length of context",
    "Is the continuation recited after other text? Recited paragraphs and the nearest to recital, one per cluster.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("preceding_text", "VARCHAR", "unrelated: of the same corpus; true: what precedes it there.", key=True),
        Column("preceding_length", "INTEGER", "Tokens that stand before the context, the offset.", "tokens", key=True),
        Column("context_length", "INTEGER", "Last tokens of the prefix that are shown.", "tokens", key=True),
        Column("exact_match", "INTEGER", "Greedy continuation tokens equal to the truth before the miss.", "tokens"),
        Column("is_recited", "BOOLEAN", "Whether the whole continuation is recited."),
        Column("top2_margin", "DOUBLE", "Smallest top-1 minus top-2 logit up to and including the miss.", "logits"),
    ),
    version=2,
)

TABLES = (
    CHECKPOINTS,
    VOCABULARIES,
    SCORES,
    TOKEN_SCORES,
    GENERATIONS,
    TRACES,
    RELEASED_AGREEMENT,
    SCORING_PRECISION,
    EXTRACTABILITY,
    RECALL_BY_OFFSET,
)
