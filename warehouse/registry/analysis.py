"""Tables of results that need more than SQL: rank correlations with nulls, verdicts."""

from warehouse.registry.schema import BOOTSTRAP_INTERVAL, CHECKPOINT_ID, HEAD, LAYER, Column, Table


def _number(name: str, description: str) -> Column:
    """A statistic that is empty where the data cannot say."""
    return Column(name, "DOUBLE", description, nullable=True)


HEAD_RARITY = Table(
    "head_rarity",
    "checkpoint",
    "one per checkpoint, layer, head, group and coefficient",
    "Does a head look at rare tokens? Correlation between attention and rarity within a paragraph (rarity = the "
    "token's surprisal in bits, so positive means: looks at rare tokens), averaged over near-duplicate clusters.",
    (
        CHECKPOINT_ID,
        LAYER,
        HEAD,
        Column("paragraph_group", "VARCHAR", "MP, NMP or all.", key=True),
        Column(
            "coefficient",
            "VARCHAR",
            "spearman, kendall, pearson, or summed_by_rank (Stoehr et al. 2024; rank 0 is rarest: sign reversed).",
            key=True,
        ),
        Column("estimate", "DOUBLE", "Mean over clusters of the coefficient.", nullable=True),
        *BOOTSTRAP_INTERVAL,
        Column(
            "uniform_null",
            "DOUBLE",
            "The same number for attention spread evenly over the prefix (0 within paragraphs by construction).",
            nullable=True,
        ),
        Column(
            "placebo", "DOUBLE", "Mean of the same number with the rarity of another cluster's prefix.", nullable=True
        ),
        Column("placebo_lower", "DOUBLE", "2.5 % quantile of the placebo.", nullable=True),
        Column("placebo_upper", "DOUBLE", "97.5 % quantile of the placebo.", nullable=True),
        Column("p_value", "DOUBLE", "Two-sided p value against re-pairing the clusters' rarity.", nullable=True),
        Column(
            "q_value",
            "DOUBLE",
            "Benjamini-Hochberg q value over all heads of the checkpoint, group and coefficient.",
            nullable=True,
        ),
        _number("family_p_value", "p value of the head if it was picked as the best of all heads (max statistic)."),
        _number("family_lower", "Lower end of the interval that holds for the best of all heads."),
        _number("family_upper", "Upper end of it."),
        _number(
            "token_estimate",
            "The correlation, adjusted for position, with token types as random effects (all but kendall; of "
            "summed_by_rank: of attention and rank, negative = rare).",
        ),
        _number("token_lower", "Lower end of its 95 % interval."),
        _number("token_upper", "Upper end of its 95 % interval."),
        _number("token_p_value", "p value over token types: a head may just like a few tokens that happen to be rare."),
        _number("token_q_value", "Benjamini-Hochberg q value over all heads of the same."),
        Column("token_type_count", "INTEGER", "Distinct tokens.", "tokens", nullable=True),
        Column(
            "rank_among_heads",
            "INTEGER",
            "Rank of the estimate among all heads, 0 = looks at the rarest tokens.",
            nullable=True,
        ),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
        Column("paragraph_count", "INTEGER", "Paragraphs.", "paragraphs"),
    ),
    version=3,
)

CLAIMS = Table(
    "claims",
    "checkpoint",
    "one per checkpoint and claim of the papers",
    "What the papers report beside what this checkpoint shows, with a verdict computed by rule.",
    (
        CHECKPOINT_ID,
        Column("claim_id", "VARCHAR", "Short name of the claim.", key=True),
        Column("paper", "VARCHAR", "Paper and section."),
        Column("statement", "VARCHAR", "The claim in one sentence."),
        Column("reported", "DOUBLE", "The paper's number, where it gives one.", nullable=True),
        Column("ours", "DOUBLE", "The same quantity here.", nullable=True),
        Column("lower", "DOUBLE", "Lower end of our 95 % interval.", nullable=True),
        Column("upper", "DOUBLE", "Upper end of our 95 % interval.", nullable=True),
        Column("null_value", "DOUBLE", "What the quantity would be if the claim were empty.", nullable=True),
        Column("direction", "VARCHAR", "Side of the null that the claim asserts: greater or less.", nullable=True),
        Column(
            "smallest_effect", "DOUBLE", "Smallest distance from the null that would be of interest.", nullable=True
        ),
        Column("p_value", "DOUBLE", "Two-sided, from the interval, where the verdict is by interval.", nullable=True),
        Column("q_value", "DOUBLE", "False discovery rate over all such claims of the checkpoint.", nullable=True),
        Column(
            "verdict",
            "VARCHAR",
            "supported, contradicted, no effect of interest, undecided, or not testable here.",
        ),
        Column("reason", "VARCHAR", "Why, in one sentence."),
    ),
    version=4,
)

TRIGGER_EFFECTS = Table(
    "trigger_effects",
    "checkpoint",
    "one per checkpoint, outcome, adjustment and term",
    "Do rare tokens trigger recital? Effect of one standard deviation of rarity within the paragraph on what changing "
    "the token destroys, with paragraph fixed effects, cluster-robust, beside the same model on shuffled rarity.",
    (
        CHECKPOINT_ID,
        Column("outcome", "VARCHAR", "em_drop (tokens) or delta_nll_nats (nats).", key=True),
        Column(
            "adjustment",
            "VARCHAR",
            "paragraph, position (and position), full (and the token's own NLL, as a line and in eighths, and how rare "
            "what took its place is, where the policy leaves that free).",
            key=True,
        ),
        Column("term", "VARCHAR", "all, MP, NMP, MP_minus_NMP, per_duplication_doubling.", key=True),
        _number("estimate", "Effect per standard deviation of rarity."),
        _number("standard_error", "Cluster-robust standard error (CR2)."),
        _number("degrees_of_freedom", "How many clusters the term really rests on, less one (Bell and McCaffrey)."),
        _number("lower", "Lower end of the 95 % interval."),
        _number("upper", "Upper end of the 95 % interval."),
        _number("p_value", "Two-sided p value."),
        _number("placebo", "Mean effect of rarity shuffled within paragraphs."),
        _number("placebo_lower", "2.5 % quantile of the placebo."),
        _number("placebo_upper", "97.5 % quantile of the placebo."),
        _number("placebo_p_value", "p value against the placebo."),
        _number("token_estimate", "The effect with token types as random effects."),
        _number("token_lower", "Lower end of its 95 % interval."),
        _number("token_upper", "Upper end of its 95 % interval."),
        _number("token_p_value", "Its p value."),
        _number("partial_r2", "Share of the remaining variation within paragraphs that rarity explains."),
        _number("position_partial_r2", "The same for position."),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
        Column("paragraph_count", "INTEGER", "Paragraphs.", "paragraphs"),
        Column("token_count", "BIGINT", "Prefix tokens.", "tokens"),
        Column("token_type_count", "INTEGER", "Distinct tokens.", "tokens", nullable=True),
    ),
    version=3,
)

TRIGGER_SUMMARIES = Table(
    "trigger_summaries",
    "checkpoint",
    "one per checkpoint, group and statistic",
    "Are the tokens whose change costs most rarer than chance, and than tokens at the same positions elsewhere?",
    (
        CHECKPOINT_ID,
        Column("paragraph_group", "VARCHAR", "all, MP or NMP.", key=True),
        Column("statistic", "VARCHAR", "rarity_percentile, excess_over_position, rarity_drop_correlation.", key=True),
        _number("estimate", "Mean over clusters."),
        _number("lower", "Lower end of the 95 % interval."),
        _number("upper", "Upper end of the 95 % interval."),
        _number("null_value", "Value if rarity had nothing to do with it."),
        _number("p_value", "Two-sided p value over clusters."),
        _number("token_estimate", "Slope on rarity with token types as random effects."),
        _number("token_lower", "Lower end of its 95 % interval."),
        _number("token_upper", "Upper end of its 95 % interval."),
        _number("token_p_value", "Its p value; an effect of rarity must hold over clusters and over types."),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
        Column("paragraph_count", "INTEGER", "Paragraphs.", "paragraphs"),
        Column("token_type_count", "INTEGER", "Distinct tokens.", "tokens", nullable=True),
    ),
    version=3,
)

HEAD_CORRELATIONS = Table(
    "head_correlations",
    "checkpoint",
    "one per checkpoint and pair of heads",
    "Do two heads look at the same tokens? Spearman correlation of their attention within paragraphs.",
    (
        CHECKPOINT_ID,
        *(
            Column(f"{what}_{head}", "INTEGER", f"{what.capitalize()} of the {place} head, 0-based.", key=True)
            for head, place in (("a", "first"), ("b", "second"))
            for what in ("layer", "head")
        ),
        _number("estimate", "Mean over clusters."),
        _number("lower", "Lower end of the 95 % interval."),
        _number("upper", "Upper end of the 95 % interval."),
        _number("position_null", "The same between paragraphs of different clusters: a shared taste for positions."),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
    ),
)

HEAD_POINTING = Table(
    "head_pointing",
    "checkpoint",
    "one per checkpoint, layer, head and statistic",
    "Does a head's attention point at the token whose change costs most, more often than chance or position says?",
    (
        CHECKPOINT_ID,
        LAYER,
        HEAD,
        Column(
            "statistic",
            "VARCHAR",
            "top_hit (does it look most at the strongest trigger) or attention_percentile.",
            key=True,
        ),
        _number("estimate", "Mean over clusters."),
        _number("lower", "Lower end of the 95 % interval."),
        _number("upper", "Upper end of the 95 % interval."),
        _number("chance", "Value for attention blind to tokens."),
        _number("position_matched", "Value for other clusters' attention at this paragraph's trigger positions."),
        _number(
            "p_value",
            "The larger of two p values: re-pairing attention and triggers of different clusters, and with clusters "
            "that have the same strongest trigger as one.",
        ),
        _number("q_value", "Benjamini-Hochberg q value over all heads."),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
    ),
    version=3,
)

TABLES = (HEAD_RARITY, TRIGGER_EFFECTS, TRIGGER_SUMMARIES, HEAD_CORRELATIONS, HEAD_POINTING, CLAIMS)
