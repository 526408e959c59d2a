"""Families that are not measured at all, and the reason in a few words; a test tries a small model of every one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_HEADS = (
    "bert", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "modernbert-decoder",
    "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod",
)  # fmt: skip
_DECODERS = (
    "bart", "bert-generation", "bigbird_pegasus", "blenderbot", "blenderbot-small", "git", "marian", "mbart", "moshi",
    "musicgen", "musicgen_melody", "mvp", "pegasus", "plbart", "prophetnet", "trocr", "whisper",
)  # fmt: skip
_BOTH_WAYS = ("cpmant", "reformer", "xlm", "xlnet")
_STATES = ("rwkv", "xlstm")

REFUSED: dict[str, str] = {
    **dict.fromkeys(_HEADS, "does more behind its blocks than one linear map, which scoring in tiles would miss"),
    **dict.fromkeys(_DECODERS, "is the decoder of a model that reads something else first"),
    **dict.fromkeys(_BOTH_WAYS, "does not read strictly from left to right"),
    **dict.fromkeys(_STATES, "keeps a state that transformers does not carry the same way in decoding"),
}


def why_refused(model_type: object, config: Mapping[str, Any] | None = None) -> str | None:
    """Why a checkpoint of this family, or with this config.json, is not measured, to stand after "which".

    None where it may be. MPT's own code multiplies logits by logit_scale; transformers keeps the setting and does not.
    """
    if model_type == "mpt" and (config or {}).get("logit_scale") not in (None, 1, 1.0):
        return "sets logit_scale in its config.json, a factor that transformers does not apply"
    return REFUSED.get(str(model_type))
