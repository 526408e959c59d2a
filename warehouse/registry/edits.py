"""Tables of unlearning, editing and noise: what the model is made to forget, and what else goes with it."""

from warehouse.registry.schema import CHECKPOINT_ID, PARAGRAPH_ID, Column, Table

_RUN = (
    CHECKPOINT_ID,
    Column(
        "protocol",
        "VARCHAR",
        "single (one target at a time, model restored), set (all targets together), held_out (all but the clusters of "
        "one fold), never_memorized (control paragraphs, relearning only).",
        key=True,
    ),
    Column("objective", "VARCHAR", "unlearn, edit, or none (the unedited model).", key=True),
    Column(
        "selection", "VARCHAR", "Weights that may move: all, top:share, random:share, head:l.h, and so on.", key=True
    ),
    Column("target", "VARCHAR", "The target paragraph, the set, or the fold.", key=True),
)
_SET = Column(
    "evaluation_set",
    "VARCHAR",
    "targets, near_duplicates (of targets, not trained on), held_out_targets, other_memorized, controls (not "
    "memorized, against the unedited model's own continuation; not those the KL reads), unrelated (held-out text).",
    key=True,
)


def _number(name: str, description: str, unit: str = "") -> Column:
    return Column(name, "DOUBLE", description, unit, nullable=True)


EDIT_PLANS = Table(
    "edit_plans",
    "checkpoint",
    "one per checkpoint",
    "What the editing stage had to work with, and why it did nothing where it did nothing.",
    (
        CHECKPOINT_ID,
        Column("target_count", "INTEGER", "Memorized paragraphs that are edited.", "paragraphs"),
        Column("pair_count", "INTEGER", "Of these, those with a PMP to be edited into.", "paragraphs"),
        Column("control_count", "INTEGER", "Paragraphs whose distribution the KL term keeps.", "paragraphs"),
        Column("step_count", "INTEGER", "Optimizer steps of a run.", "steps"),
        Column("learning_rate", "DOUBLE", "Learning rate of Adam."),
        Column("nll_weight", "DOUBLE", "Weight of the NLL term."),
        Column("kl_weight", "DOUBLE", "Weight of the KL term."),
        Column("reason", "VARCHAR", "Why nothing was edited; empty where something was.", nullable=True),
    ),
)

EDITS = Table(
    "edits",
    "checkpoint",
    "one per run, evaluation set and step",
    "Unlearning and editing runs (Stoehr et al. 2024, section 5.3), each from the unedited weights: means over the "
    "paragraphs of an evaluation set, before and after.",
    (
        *_RUN,
        _SET,
        Column("step", "INTEGER", "Optimizer steps taken; 0 is the unedited model.", "steps", key=True),
        Column("exact_match_before", "DOUBLE", "Mean leading exact match of the unedited model.", "tokens"),
        Column("exact_match", "DOUBLE", "Mean leading exact match after the step.", "tokens"),
        _number("replacement_match_before", "The same against the continuation to be written instead (PMP).", "tokens"),
        _number("replacement_match", "The same after the step.", "tokens"),
        Column("nll_before_nats", "DOUBLE", "Mean continuation NLL of the unedited model.", "nats"),
        Column(
            "nll_nats", "DOUBLE", "Mean continuation NLL after the step; its exponential is the perplexity.", "nats"
        ),
        Column("paragraph_count", "INTEGER", "Paragraphs of the set.", "paragraphs"),
        Column("weight_count", "BIGINT", "Weights that may move.", "weights"),
        _number("kl_nats", "KL per token of the controls in training, before the last step.", "nats"),
        Column("is_diverged", "BOOLEAN", "Whether that KL exceeds the log of the vocabulary: worse than guessing."),
    ),
    version=2,
)

EDIT_SCORES = Table(
    "edit_scores",
    "checkpoint",
    "one per run, evaluation set and paragraph",
    "The score card of each run paragraph by paragraph after its last step: the distribution behind the means.",
    (
        *_RUN,
        _SET,
        PARAGRAPH_ID,
        Column("near_duplicate_cluster", "INTEGER", "Cluster of near duplicates; the unit of every interval."),
        Column("exact_match_before", "INTEGER", "Leading exact match of the unedited model.", "tokens"),
        Column("exact_match", "INTEGER", "Leading exact match after the run.", "tokens"),
        Column(
            "replacement_match_before", "INTEGER", "Against the PMP's continuation, before.", "tokens", nullable=True
        ),
        Column("replacement_match", "INTEGER", "Against the PMP's continuation, after.", "tokens", nullable=True),
        Column("nll_before_nats", "DOUBLE", "Continuation NLL of the unedited model.", "nats"),
        Column("nll_nats", "DOUBLE", "Continuation NLL after the run.", "nats"),
        Column("logprob_before_nats", "DOUBLE", "Log of the chance that sampling recites it (p_z), before.", "nats"),
        Column("logprob_nats", "DOUBLE", "Log of the chance that sampling recites it (p_z), after.", "nats"),
    ),
    version=2,
)

EDIT_ROBUSTNESS = Table(
    "edit_robustness",
    "checkpoint",
    "one per run and probe",
    "How shallow forgetting is: the targets asked in other ways, and how fast they are learned again.",
    (
        *_RUN,
        Column(
            "probe",
            "VARCHAR",
            "perturbed_prefix, shorter_prefix, longer_prefix (share of the continuation recited), sampled_at_T (chance "
            "that sampling recites all of it), relearning_steps (Adam steps on all weights until all targets are "
            "recited).",
            key=True,
        ),
        Column("before", "DOUBLE", "Value for the unedited model."),
        Column("after", "DOUBLE", "Value after the run."),
        Column("is_censored", "BOOLEAN", "Whether recital had not come back at the limit; `after` is limit + 1."),
    ),
    version=2,
)

EDIT_SUMMARIES = Table(
    "edit_summaries",
    "checkpoint",
    "one per protocol, objective, selection, evaluation set and measure",
    "The score card of each selection beside its baselines: all weights, and as many weights at random. Intervals are "
    "95 % intervals over near-duplicate clusters, within the bounds of bounded measures; differences are paired by "
    "cluster.",
    (
        *_RUN[:4],
        _SET,
        Column(
            "measure", "VARCHAR", "exact_match, replacement_match, nll_nats, or a probe of edit_robustness.", key=True
        ),
        _number("before", "Mean for the unedited model."),
        _number("estimate", "Mean after the run."),
        _number("lower", "Lower end of its interval."),
        _number("upper", "Upper end of its interval."),
        _number("random_estimate", "Mean for as many random weights."),
        _number("random_difference", "Estimate minus that, paired by cluster."),
        _number("random_lower", "Lower end of the difference."),
        _number("random_upper", "Upper end of the difference."),
        _number("all_estimate", "Mean for all weights."),
        _number("all_difference", "Estimate minus that, paired by cluster."),
        _number("all_lower", "Lower end of the difference."),
        _number("all_upper", "Upper end of the difference."),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
    ),
    version=3,
)

EDIT_NOISE = Table(
    "edit_noise",
    "checkpoint",
    "one per region, strength and group",
    "Recital while noise N(0, (f · std W)²) lies on the weights of one head or component (Stoehr et al. 2024, code); "
    "region random is the null: as many weights from anywhere.",
    (
        CHECKPOINT_ID,
        Column("region", "VARCHAR", "head (W_Q, W_K, W_V, W_O of one head), component, or random.", key=True),
        Column("layer", "INTEGER", "Layer, 0-based; empty for random.", key=True, nullable=True),
        Column("component", "VARCHAR", "Component; empty for heads and random.", key=True, nullable=True),
        Column("head", "INTEGER", "Head, 0-based; empty where there is none.", key=True, nullable=True),
        Column("strength", "DOUBLE", "f: noise in standard deviations of the weight.", key=True),
        Column("paragraph_group", "VARCHAR", "MP, or NMP (against the model's own continuation).", key=True),
        Column("exact_match_mean", "DOUBLE", "Mean leading exact match over clusters.", "tokens"),
        _number("lower", "Lower end of its 95 % t interval.", "tokens"),
        _number("upper", "Upper end of its 95 % t interval.", "tokens"),
        Column("nll_nats_mean", "DOUBLE", "Mean continuation NLL.", "nats"),
        Column("weight_count", "BIGINT", "Weights that carry noise.", "weights"),
        Column("paragraph_count", "INTEGER", "Paragraphs.", "paragraphs"),
    ),
)

EDITED_CHECKPOINTS = Table(
    "edited_checkpoints",
    "checkpoint",
    "one per checkpoint that `rarecall edit --save` made; none for others",
    "Where an edited checkpoint comes from and how it was made.",
    (
        CHECKPOINT_ID,
        Column("parent_checkpoint_id", "VARCHAR", "The unedited checkpoint."),
        Column("objective", "VARCHAR", "unlearn or edit."),
        Column("selection", "VARCHAR", "Weights that could move."),
        Column("step_count", "INTEGER", "Optimizer steps.", "steps"),
        Column("learning_rate", "DOUBLE", "Learning rate of Adam."),
        Column("target_ids", "VARCHAR[]", "Paragraphs that were edited."),
        Column("control_ids", "VARCHAR[]", "Paragraphs whose distribution the KL term kept."),
    ),
)

TABLES = (EDIT_PLANS, EDITS, EDIT_SCORES, EDIT_ROBUSTNESS, EDIT_NOISE, EDIT_SUMMARIES, EDITED_CHECKPOINTS)
