"""Tables of results that need more than SQL: rank correlations with nulls, verdicts."""

from warehouse.registry.schema import CHECKPOINT_ID, HEAD, LAYER, Column, Table

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
        Column("lower", "DOUBLE", "Lower end of the 95 % cluster-bootstrap interval.", nullable=True),
        Column("upper", "DOUBLE", "Upper end of the 95 % cluster-bootstrap interval.", nullable=True),
        Column(
            "uniform_null",
            "DOUBLE",
            "The same number for attention spread evenly over the prefix (0 within paragraphs by construction).",
            nullable=True,
        ),
        Column(
            "placebo", "DOUBLE", "Mean of the same number with rarity shuffled within each paragraph.", nullable=True
        ),
        Column("placebo_lower", "DOUBLE", "2.5 % quantile of the placebo.", nullable=True),
        Column("placebo_upper", "DOUBLE", "97.5 % quantile of the placebo.", nullable=True),
        Column("p_value", "DOUBLE", "Two-sided permutation p value against the placebo.", nullable=True),
        Column(
            "q_value",
            "DOUBLE",
            "Benjamini-Hochberg q value over all heads of the checkpoint, group and coefficient.",
            nullable=True,
        ),
        Column(
            "rank_among_heads",
            "INTEGER",
            "Rank of the estimate among all heads, 0 = looks at the rarest tokens.",
            nullable=True,
        ),
        Column("cluster_count", "INTEGER", "Near-duplicate clusters.", "clusters"),
        Column("paragraph_count", "INTEGER", "Paragraphs.", "paragraphs"),
    ),
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
        Column("verdict", "VARCHAR", "supported, contradicted, undecided, or not testable here."),
        Column("reason", "VARCHAR", "Why, in one sentence."),
    ),
)

TABLES = (HEAD_RARITY, CLAIMS)
