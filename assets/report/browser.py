"""Data of the paragraph browser: tokens, rarity, token NLL, EM drops and attention, packed small.

Arrays are base64 of little-endian integers, because JSON numbers would take five times the room:
`t` token index (uint32), `n` NLL in thousandths of a nat (uint16), `d` EM drop in hundredths of a token
(int16, −32768 = not perturbed), `e` change of NLL in thousandths of a nat (likewise),
`a` attention as 255·√weight, head after head (uint8), `g` generated token index.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import polars as pl

import sql
from assets.report.redaction import MASK, redact, redacted_tokens
from warehouse.catalog.queries import query
from warehouse.home import Home

ATTENTION_BYTES = 6_000_000
"""Most bytes of attention in a report; beyond it only the heads that go with rarity most are kept."""

NOT_PERTURBED = -32768


def browser_data(home: Home, checkpoint_id: str, limit: int, is_redacted: bool) -> dict[str, Any] | None:
    """Everything the browser shows, ready for JSON; None when no paragraph has been scored.

    Args:
        home: where the published catalog lies.
        checkpoint_id: what is shown.
        limit: most paragraphs.
        is_redacted: hide what looks personal or secret.
    """
    rows = _ask(home, "browser_paragraphs", checkpoint_id, limit=limit)
    if rows.is_empty():
        return None
    tokens = _Tokens(_ask(home, "browser_tokens", checkpoint_id), is_redacted)
    kept = rows.select("paragraph_id")
    nll = dict(_of(home, "browser_nll", checkpoint_id, kept).iter_rows())
    drops = _of(home, "browser_drops", checkpoint_id, kept).partition_by("paragraph_id", as_dict=True)
    heads, attention = _attention(home, checkpoint_id, kept, int(rows["prefix_length"].max()))  # type: ignore[arg-type]
    paragraphs = []
    for row in rows.iter_rows(named=True):
        name = row["paragraph_id"]
        drop = drops.get((name,))
        packed = {
            "n": _nll(nll.get(name)),
            "d": _packed(drop, "em_drop", 100, row["prefix_length"]),
            "e": _packed(drop, "delta_nll_nats", 1000, row["prefix_length"]),
            "a": attention.get(name),
        }
        paragraphs.append({**_facts(row, is_redacted), **tokens.of(row), **packed})
    names = [f"{layer}.{head}" for layer, head in heads.select("layer", "head").iter_rows()]
    leans = [None if value is None else round(value, 3) for value in heads["spearman"]]
    return {"heads": names, "leans": leans, **tokens.vocabulary(), "paragraphs": paragraphs}


def as_script(data: dict[str, Any]) -> str:
    """JSON that is safe inside a script element: no `<`, so that no text in it can close the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def pack(values: Any, kind: str) -> str:
    """An array as base64 of little-endian numbers of the given kind."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=np.dtype(kind).newbyteorder("<")).tobytes()).decode()


def shown_token(data: dict[str, Any], paragraph_id: str, position: int) -> str:
    """The token as the browser shows it, which may be the mask; the mask as well for a paragraph it does not show."""
    packed = next((p["t"] for p in data["paragraphs"] if p["id"] == paragraph_id), None)
    if packed is None:
        return MASK
    indices = np.frombuffer(base64.b64decode(packed), dtype="<u4")
    return str(data["tokens"][indices[position]])


class _Tokens:
    """The tokens that occur, each once: index, text and rarity. Masked tokens have no rarity."""

    def __init__(self, frame: pl.DataFrame, is_redacted: bool):
        self.known = {i: (text, bits) for i, text, bits in frame.iter_rows()}
        self.is_redacted = is_redacted
        self.index: dict[tuple[str, float | None], int] = {}

    def of(self, row: dict[str, Any]) -> dict[str, Any]:
        """Packed token indices of a paragraph and of what the model writes after its prefix."""
        ids, generated = row["token_ids"], row["generated_ids"]
        indices = self._indices(ids)
        written = (
            self._indices([*ids[: row["prefix_length"]], *generated])[row["prefix_length"] :] if generated else None
        )
        return {"t": pack(indices, "u4"), "g": pack(written, "u4") if written is not None else None}

    def vocabulary(self) -> dict[str, Any]:
        """Texts and bits by index."""
        return {"tokens": [text for text, _ in self.index], "bits": [bits for _, bits in self.index]}

    def _indices(self, ids: list[int]) -> list[int]:
        pieces = [self.known.get(i, (f"<{i}>", None)) for i in ids]
        if self.is_redacted:
            shown = redacted_tokens([text for text, _ in pieces])
            pieces = [p if s == p[0] else (s, None) for p, s in zip(pieces, shown, strict=True)]
        keys = [(text, None if bits is None else round(bits, 2)) for text, bits in pieces]
        return [self.index.setdefault(key, len(self.index)) for key in keys]


def _ask(home: Home, name: str, checkpoint_id: str, **parameters: Any) -> pl.DataFrame:
    return query(home, sql.load_one("adhoc", name).text, {"checkpoint_id": checkpoint_id, **parameters})


def _of(home: Home, name: str, checkpoint_id: str, kept: pl.DataFrame) -> pl.DataFrame:
    """Rows of the shown paragraphs."""
    return _ask(home, name, checkpoint_id).join(kept, on="paragraph_id", how="semi")


def _facts(row: dict[str, Any], is_redacted: bool) -> dict[str, Any]:
    source = f"{row['subset'] or ''} document {row['document_id']}".strip()
    return {
        "id": row["paragraph_id"],
        "source": redact(source) if is_redacted else source,
        "kind": row["content_kind"],
        "copies": row["duplication_count"],
        "cluster": row["near_duplicate_cluster"],
        "prefix": row["prefix_length"],
        "em": row["exact_match"],
        "recited": row["is_memorized"],
        "nll": round(row["continuation_nll_nats"], 3),
        "series": row["exact_match_series"],
    }


def _nll(values: list[float] | None) -> str | None:
    return None if values is None else pack(np.clip(np.round(np.array(values) * 1000), 0, 65535), "u2")


def _packed(rows: pl.DataFrame | None, column: str, scale: int, prefix_length: int) -> str | None:
    """What replacing each prefix token did, as whole numbers after scaling; None where nothing was tried."""
    if rows is None:
        return None
    values = np.full(prefix_length, NOT_PERTURBED)
    scaled = np.round(rows[column].cast(pl.Float64).fill_null(0.0).to_numpy() * scale)
    values[rows["position"].to_numpy()] = np.clip(scaled, NOT_PERTURBED + 1, -NOT_PERTURBED - 1)
    return pack(values, "i2")


def _attention(home: Home, checkpoint_id: str, kept: pl.DataFrame, width: int) -> tuple[pl.DataFrame, dict[str, str]]:
    """The heads that fit, and per paragraph their attention, [head, prefix position], packed."""
    most = max(1, ATTENTION_BYTES // max(1, kept.height * width))
    heads = _ask(home, "browser_heads", checkpoint_id).head(most).sort("layer", "head")
    rows = _of(home, "browser_attention", checkpoint_id, kept).join(
        heads.select("layer", "head"), on=["layer", "head"], how="semi"
    )
    packed = {}
    for name, some in rows.sort("layer", "head").group_by("paragraph_id", maintain_order=True):
        weights = np.vstack(some["attention"].to_list())
        packed[str(name[0])] = pack(np.round(255 * np.sqrt(np.clip(weights, 0, 1))), "u1")
    return heads, packed
