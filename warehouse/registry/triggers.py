"""Tables of the search for triggers that a profile may leave empty."""

from warehouse.registry.schema import CHECKPOINT_ID, HEAD, LAYER, PARAGRAPH_ID, Column, Table

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

TABLES = (CONTINUATION_ATTENTION,)
