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
            "How the replacement is drawn: uniform, frequency_matched, second_choice, or deletion of the token.",
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

_GROUP = Column("paragraph_group", "VARCHAR", "MP (memorized) or NMP (exact match at most a fifth).", key=True)

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
        *with_interval("utility_drop", "_share", "Relative drop of utility."),
        Column("selectivity", "DOUBLE", "Memorization drop minus utility drop.", "share", nullable=True),
        *BOOTSTRAP_INTERVAL,
        IS_COLLAPSED,
        Column("is_selective", "BOOLEAN", "Whether the interval lies above 0 without collapse.", nullable=True),
    ),
    version=2,
)

TABLES = (
    PERTURBATIONS,
    MINIMAL_PERTURBATIONS,
    HEAD_ATTENTION,
    PARAMETER_GRADIENTS,
    ACTIVATION_GRADIENTS,
    INTERVENTIONS,
)
