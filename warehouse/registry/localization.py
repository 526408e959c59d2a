"""Tables of where recital lives: perturbations, attention, gradients."""

from warehouse.registry.schema import (
    BOOTSTRAP_INTERVAL,
    CHECKPOINT_ID,
    HEAD,
    IS_COLLAPSED,
    LAYER,
    PARAGRAPH_ID,
    Column,
    Table,
    with_interval,
)

PERTURBATIONS = Table(
    "perturbations",
    "checkpoint",
    "one per checkpoint, paragraph, prefix position, policy and draw",
    "What one changed prefix token does to the continuation. The reference is the continuation the model gives the "
    "unchanged prefix: the true one for memorized paragraphs, the model's own for the others.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column(
            "position", "INTEGER", "Prefix position that was changed, 0-based; 0 is left alone.", "position", key=True
        ),
        Column(
            "policy",
            "VARCHAR",
            "How it is drawn: uniform, frequency_matched, plausible, second_choice, or deletion of the token.",
            key=True,
        ),
        Column("draw", "INTEGER", "Draw of the policy at this position, 0-based.", key=True),
        Column("is_main_policy", "BOOLEAN", "The profile's first policy: what triggers, marts and claims rest on."),
        Column("reference", "VARCHAR", "corpus (memorized: both agree) or model (its own greedy continuation)."),
        Column("original_id", "INTEGER", "Token that was there."),
        Column("replacement_id", "INTEGER", "Token put in its place; empty for a deletion.", nullable=True),
        Column("exact_match", "INTEGER", "Leading greedy tokens that still equal the reference.", "tokens"),
        Column("em_drop", "INTEGER", "Continuation length minus exact_match.", "tokens"),
        Column("nll_nats", "DOUBLE", "Mean NLL of the reference after the change.", "nats"),
        Column("delta_nll_nats", "DOUBLE", "nll_nats minus that of the unchanged prefix.", "nats"),
        Column(
            "divergence_position", "INTEGER", "Position of the first token that differs.", "position", nullable=True
        ),
    ),
    version=2,
)

MINIMAL_PERTURBATIONS = Table(
    "minimal_perturbations",
    "checkpoint",
    "one per checkpoint and perturbed paragraph",
    "The one change of the main policy that leaves the least of the continuation (earliest on ties), and what the "
    "model writes then: the perturbed memorized paragraph of Stoehr et al. 2024, section 4.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        Column("position", "INTEGER", "Prefix position that was changed, 0-based.", "position"),
        Column("policy", "VARCHAR", "How the replacement was drawn."),
        Column("draw", "INTEGER", "Draw of the policy, 0-based."),
        Column("original_id", "INTEGER", "Token that was there."),
        Column("replacement_id", "INTEGER", "Token put in its place; empty for a deletion.", nullable=True),
        Column("exact_match", "INTEGER", "Leading greedy tokens that still equal the reference.", "tokens"),
        Column("prefix_ids", "INTEGER[]", "The changed prefix."),
        Column("generated_ids", "INTEGER[]", "Greedy continuation of the changed prefix."),
        Column("impact_position", "INTEGER", "First changed continuation position.", "position", nullable=True),
        Column("impact_reference_id", "INTEGER", "Token there before the change.", nullable=True),
        Column("impact_id", "INTEGER", "Token there after the change.", nullable=True),
    ),
    version=2,
)

HEAD_ATTENTION = Table(
    "head_attention",
    "checkpoint",
    "one per checkpoint, paragraph, layer and head",
    "Where each head looks when the first continuation token after the prefix is read (query at the prefix length).",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        LAYER,
        HEAD,
        Column(
            "attention",
            "FLOAT[]",
            "Attention weight on each prefix token; self is left out, not renormalised.",
            "share",
        ),
        Column("self_share", "FLOAT", "Weight of the query on itself.", "share"),
    ),
)

PARAMETER_GRADIENTS = Table(
    "parameter_gradients",
    "checkpoint",
    "one per checkpoint, paragraph (or group), layer, component and head",
    "Gradient of the continuation NLL in the checkpoint's own parametrisation. Rows with a paragraph_id are gradients "
    "of that paragraph; rows without are of the mean loss of the group (|mean gradient|, Stoehr et al. 2024, §5.1).",
    (
        CHECKPOINT_ID,
        Column(
            "paragraph_id",
            "VARCHAR",
            "Paragraph, or null for the gradient of a group's mean loss.",
            key=True,
            nullable=True,
        ),
        Column("paragraph_group", "VARCHAR", "MP (memorized) or NMP (exact match at most 10).", key=True),
        LAYER,
        Column("component", "VARCHAR", "W_Q, W_K, W_V, W_O (per head), W_in, W_out.", key=True),
        Column("head", "INTEGER", "Head, 0-based; null for W_in and W_out.", key=True, nullable=True),
        Column("max_abs", "DOUBLE", "Largest absolute gradient entry.", "nats per unit weight"),
        Column("mean_abs", "DOUBLE", "Mean absolute gradient entry.", "nats per unit weight"),
        Column("l2", "DOUBLE", "Euclidean norm.", "nats per unit weight"),
    ),
    version=2,
)

ACTIVATION_GRADIENTS = Table(
    "activation_gradients",
    "checkpoint",
    "one per checkpoint, paragraph, layer, component, head and prefix position",
    "How strongly the continuation NLL depends on what each head reads and writes at each prefix token.",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        LAYER,
        Column("component", "VARCHAR", "q, k or v of the head.", key=True),
        HEAD,
        Column("position", "INTEGER", "Prefix position, 0-based.", "position", key=True),
        Column(
            "score", "FLOAT", "Largest absolute gradient over the head dimension, loss = mean continuation NLL.", "nats"
        ),
    ),
)

_GROUP = Column(
    "paragraph_group",
    "VARCHAR",
    "MP (memorized) or NMP (exact match at most a fifth); of gradients of a mean loss also the bins between.",
    key=True,
)


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


_SELECTIVITY_NULLS = (
    *_random("", "selectivity"),
    *(
        Column(f"noise_{name}", "DOUBLE", f"{what} of noise on all weights that costs utility as much.", nullable=True)
        for name, what in (
            ("mean", "Mean selectivity"),
            ("lower", "2.5 % quantile of the selectivity"),
            ("upper", "97.5 % quantile of the selectivity"),
        )
    ),
    Column(
        "null_value",
        "DOUBLE",
        "random_mean or noise_mean, whichever leaves less: what selectivity must beat.",
        nullable=True,
    ),
    *with_interval("excess", "", "Selectivity minus the null; the interval holds how much random choices differ."),
    Column("family_lower", "DOUBLE", "Lower end of the excess for the best of those compared.", nullable=True),
    Column("family_upper", "DOUBLE", "Upper end of it: blocks, ranges or heads done alike; choices.", nullable=True),
)
_IS_SELECTIVE = Column(
    "is_selective",
    "BOOLEAN",
    "Whether the interval of the excess lies above 0 and at most 5 % of the random choices (none of fewer than 19) "
    "reach as much.",
    nullable=True,
)

INTERVENTIONS = Table(
    "interventions",
    "checkpoint",
    "one per checkpoint, intervention and paragraph group",
    "What taking a block's or a head's attention away costs recital, and what it costs other text. Kind none is the "
    "untouched model.",
    (
        CHECKPOINT_ID,
        Column("kind", "VARCHAR", "none, identity (attention short-circuit), zero, mean, uniform.", key=True),
        Column("part", "VARCHAR", "attention or mlp.", key=True),
        Column("layer", "INTEGER", "Lowest layer touched, 0-based; empty for none.", key=True, nullable=True),
        Column("last_layer", "INTEGER", "Highest layer touched.", key=True, nullable=True),
        Column("head", "INTEGER", "Head touched, 0-based; empty for all of the layer.", key=True, nullable=True),
        _GROUP,
        Column("paragraph_count", "INTEGER", "Paragraphs.", "paragraphs"),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
        Column("em_mean", "DOUBLE", "Mean exact match.", "tokens"),
        Column("nll_nats", "DOUBLE", "Mean continuation NLL.", "nats"),
        Column(
            "token_accuracy_share", "DOUBLE", "Continuation tokens that are the argmax after the true text.", "share"
        ),
        Column("entropy_nats", "DOUBLE", "Mean entropy over the continuation.", "nats"),
        Column("utility_nll_nats", "DOUBLE", "Mean NLL of held-out text.", "nats"),
        Column("utility_perplexity", "DOUBLE", "Perplexity of held-out text."),
        Column("utility_accuracy_share", "DOUBLE", "Next-token accuracy on held-out text.", "share"),
        *with_interval("memorization_drop", "_share", "Relative drop of exact match."),
        *with_interval("recital_loss", "_share", "Relative drop of token accuracy on the group."),
        *with_interval("utility_drop", "_share", "Relative drop of token accuracy on held-out text."),
        Column("selectivity", "DOUBLE", "Recital loss minus utility drop, one measure on both sides.", nullable=True),
        *BOOTSTRAP_INTERVAL,
        *_SELECTIVITY_NULLS,
        IS_COLLAPSED,
        _IS_SELECTIVE,
    ),
    version=4,
)


_HEAD = Column("head", "INTEGER", "Head, 0-based; empty where there are none.", key=True, nullable=True)


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
        Column("selectivity", "DOUBLE", "As in interventions, for these heads; empty if unrelated.", nullable=True),
        *BOOTSTRAP_INTERVAL,
        *_SELECTIVITY_NULLS,
        IS_COLLAPSED,
        _IS_SELECTIVE,
    ),
    version=3,
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


CONTINUATION_ATTENTION = Table(
    "continuation_attention",
    "checkpoint",
    "one per checkpoint, perturbed paragraph, layer, head and query position",
    "Where each head looks in the prefix while each token of the continuation is read; rows only where the profile "
    "asks for them (probes.continuation_attention).",
    (
        CHECKPOINT_ID,
        PARAGRAPH_ID,
        LAYER,
        HEAD,
        Column("query_position", "INTEGER", "Position of the query, 0-based; prefix length and up.", "position", True),
        Column("attention", "FLOAT[]", "Attention weight on each prefix token; not renormalised.", "share"),
        Column("self_share", "FLOAT", "Weight of the query on itself.", "share"),
    ),
)

TABLES = (
    PERTURBATIONS,
    MINIMAL_PERTURBATIONS,
    HEAD_ATTENTION,
    PARAMETER_GRADIENTS,
    ACTIVATION_GRADIENTS,
    INTERVENTIONS,
    PATCHING,
    IMPACT_GRADIENTS,
    GRADIENT_COSINES,
    SCORE_CARD,
    HARNESS_UTILITY,
    CONTINUATION_ATTENTION,
)
