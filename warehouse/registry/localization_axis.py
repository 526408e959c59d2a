"""Tables that put the localizations side by side: patching, cosines of gradients, the score card, harness tasks."""

from warehouse.registry.schema import (
    BOOTSTRAP_INTERVAL,
    CHECKPOINT_ID,
    IS_COLLAPSED,
    LAYER,
    PARAGRAPH_ID,
    Column,
    Table,
    with_interval,
)

_HEAD = Column("head", "INTEGER", "Head, 0-based; empty where there are none.", key=True, nullable=True)


def _random(name: str, what: str) -> tuple[Column, ...]:
    """Mean and quantiles of as many heads drawn at random, and the p value against them."""
    prefix = f"random_{name}" if name else "random_"
    p_value = f"{name}p_value"
    return (
        Column(f"{prefix}mean", "DOUBLE", f"Mean {what} of random choices of as many heads.", nullable=True),
        Column(f"{prefix}lower", "DOUBLE", "2.5 % quantile of the same.", nullable=True),
        Column(f"{prefix}upper", "DOUBLE", "97.5 % quantile of the same.", nullable=True),
        Column(p_value, "DOUBLE", "Share of random choices with at least as much, this one counted.", nullable=True),
    )


PATCHING = Table(
    "patching",
    "checkpoint",
    "one per checkpoint, memorized paragraph, receiver, layer, component and head",
    "One head is fed what it held in the other run at the changed position: memorized paragraph (MP) and the same with "
    "the one change that costs most (PMP), both directions (Stoehr et al. 2024, section 6.1 and appendix A.3).",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("receiver", "VARCHAR", "MP or PMP: the run that is patched and whose own label is scored.", key=True),
        LAYER,
        Column("component", "VARCHAR", "q, k, v (as projected) or z (what W_O reads).", key=True),
        Column("head", "INTEGER", "Head, 0-based; of k and v the key/value head.", key=True),
        Column("nll_nats", "DOUBLE", "NLL of the impact token in the untouched run.", "nats"),
        Column("delta_nll_nats", "DOUBLE", "The same in the patched run minus untouched.", "nats"),
    ),
)

IMPACT_GRADIENTS = Table(
    "impact_gradients",
    "checkpoint",
    "one per checkpoint, patched paragraph, loss, layer, component, head and prefix position",
    "How strongly a loss of the memorized paragraph depends on what each part writes at each prefix token: the NLL of "
    "the impact token (Stoehr et al. 2024, section 6.1), and the mean over the continuation.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("loss", "VARCHAR", "impact (NLL of the impact token) or continuation (mean NLL).", key=True),
        LAYER,
        Column("component", "VARCHAR", "q, k, v (per head), attention_out or mlp_out.", key=True),
        _HEAD,
        Column("position", "INTEGER", "Prefix position, 0-based.", "position", key=True),
        Column("score", "FLOAT", "Largest absolute gradient over the features.", "nats per unit activation"),
    ),
)

GRADIENT_COSINES = Table(
    "gradient_cosines",
    "checkpoint",
    "one per checkpoint, space, layer, component and head",
    "Cosine between the mean gradients of memorized and other paragraphs: 1 pulls the same way, 0 unrelated.",
    (
        CHECKPOINT_ID,
        Column("space", "VARCHAR", "parameter or activation.", key=True),
        LAYER,
        Column("component", "VARCHAR", "W_Q, W_K, W_V, W_O, W_in, W_out; q, k, v, attention_out, mlp_out.", key=True),
        _HEAD,
        Column("cosine", "DOUBLE", "Cosine of the two mean gradients.", nullable=True),
        Column("lower", "DOUBLE", "Lower end of the 95 % jackknife interval.", nullable=True),
        Column("upper", "DOUBLE", "Upper end of the 95 % jackknife interval.", nullable=True),
        Column("placebo", "DOUBLE", "Mean cosine with the labels dealt at random.", nullable=True),
        Column("placebo_lower", "DOUBLE", "Smallest such cosine over the deals.", nullable=True),
        Column("placebo_upper", "DOUBLE", "Largest such cosine over the deals.", nullable=True),
    ),
)

SCORE_CARD = Table(
    "localization_score_card",
    "checkpoint",
    "one per checkpoint, choice of heads and evaluation",
    "What mean-ablating the heads that a localization points at costs, beside as many heads drawn at random: on the "
    "memorized paragraphs it was made on (self), on other memorized ones (other), on unrelated held-out text.",
    (
        CHECKPOINT_ID,
        Column(
            "choice",
            "VARCHAR",
            "gradient, patching, short_circuit, rare_token_attention (as many heads as a block has) or block.",
            key=True,
        ),
        Column("evaluation", "VARCHAR", "self, other or unrelated.", key=True),
        Column("heads", "VARCHAR", "The heads, layer.head."),
        Column("head_count", "INTEGER", "Heads in the choice.", "heads"),
        Column("paragraph_count", "INTEGER", "Paragraphs of the evaluation, one per near-duplicate cluster."),
        *with_interval("drop", "_share", "Relative drop of exact match; of utility for unrelated text."),
        *_random("drop_", "drop"),
        Column("selectivity", "DOUBLE", "Memorization drop minus utility drop; empty if unrelated.", nullable=True),
        *BOOTSTRAP_INTERVAL,
        *_random("", "selectivity"),
        IS_COLLAPSED,
        Column("is_selective", "BOOLEAN", "Whether the interval lies above 0 without collapse.", nullable=True),
    ),
)

HARNESS_UTILITY = Table(
    "harness_utility",
    "checkpoint",
    "one per checkpoint, intervention, task and metric",
    "Scores of lm-evaluation-harness tasks with a block's attention short-circuited; empty unless the profile names "
    "tasks and the extra `harness` is installed.",
    (
        CHECKPOINT_ID,
        Column("kind", "VARCHAR", "none or identity (attention short-circuit).", key=True),
        Column("layer", "INTEGER", "Lowest layer touched, 0-based; empty for none.", key=True, nullable=True),
        Column("last_layer", "INTEGER", "Highest layer touched.", key=True, nullable=True),
        Column("task", "VARCHAR", "Task of the harness.", key=True),
        Column("metric", "VARCHAR", "Metric of the task.", key=True),
        Column("value", "DOUBLE", "Score."),
        Column("standard_error", "DOUBLE", "Standard error, where the harness gives one.", nullable=True),
        Column("document_count", "INTEGER", "Documents.", "documents"),
    ),
)

TABLES = (PATCHING, IMPACT_GRADIENTS, GRADIENT_COSINES, SCORE_CARD, HARNESS_UTILITY)
