"""Small drawings as SVG text: one panel per checkpoint, and what changed between two of them.

They are part of the page, so colours are the page's own and nothing has to be drawn before the report is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

SHOWN_CHECKPOINTS = 8
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 180.0, 110.0, 26.0, 20.0, 8.0
_SIZE = 460.0


def multiples(rows: list[dict[str, Any]], summaries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One small panel per checkpoint: share recited by copies with its interval, the last checkpoint pale behind it.

    Args:
        rows: checkpoint_id, duplication_count, memorized_share, lower, upper; checkpoints in their order.
        summaries: one row per checkpoint as in the report's table.

    Returns:
        The summaries of the shown checkpoints (at most `SHOWN_CHECKPOINTS`, spread evenly), each with its `svg`.
    """
    by_name: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["checkpoint_id"], []).append(row)
    known = [summary for summary in summaries if summary["checkpoint_id"] in by_name]
    if len(known) < 2:
        return []
    last = by_name[known[-1]["checkpoint_id"]]
    return [s | {"svg": _panel(by_name[s["checkpoint_id"]], last)} for s in evenly_chosen(known, SHOWN_CHECKPOINTS)]


def evenly_chosen(items: Sequence[Any], most: int) -> list[Any]:
    """At most so many of the items, evenly, with the first and the last."""
    if len(items) <= most:
        return list(items)
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _panel(rows: list[dict[str, Any]], last: list[dict[str, Any]]) -> str:
    copies = [row["duplication_count"] for row in last]
    places = {count: _x(i, len(copies)) for i, count in enumerate(copies)}
    shown = [row for row in rows if row["duplication_count"] in places]
    points = " ".join(f"{places[r['duplication_count']]:.1f},{_y(r['memorized_share']):.1f}" for r in shown)
    behind = " ".join(f"{places[r['duplication_count']]:.1f},{_y(r['memorized_share']):.1f}" for r in last)
    bars = "".join(
        f'<path class="bar" d="M{places[r["duplication_count"]]:.1f} {_y(r["lower"]):.1f}V{_y(r["upper"]):.1f}"/>'
        for r in shown
        if r["lower"] is not None and r["upper"] is not None
    )
    label = ", ".join(f"×{r['duplication_count']} {100 * r['memorized_share']:.0f} %" for r in shown)
    box = f'viewBox="0 0 {_WIDTH:.0f} {_HEIGHT:.0f}" role="img" aria-label="Recited by copies: {label}"'
    lines = f'<polyline class="shade" points="{behind}"/>{bars}<polyline class="own" points="{points}"/>'
    return f'<svg class="small" {box}>{_frame(copies, places)}{lines}</svg>'


def _frame(copies: list[int], places: dict[int, float]) -> str:
    lines = "".join(f'<path class="grid" d="M{_LEFT} {_y(v):.1f}H{_WIDTH}"/>' for v in (0, 0.5, 1))
    sides = ((_LEFT - 4, _y(v) + 3, "end", name) for v, name in ((0, "0"), (0.5, "½"), (1, "1")))
    ends = ((places[c], _HEIGHT - 5, where, f"×{c}") for c, where in ((copies[0], "start"), (copies[-1], "end")))
    return lines + "".join(_text(*given) for given in (*sides, *ends))


def _text(x: float, y: float, anchor: str, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def _x(index: int, count: int) -> float:
    return _LEFT + 6 + (_WIDTH - _LEFT - 12) * index / max(1, count - 1)


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)


def dumbbells(rows: list[dict[str, Any]]) -> str:
    """Share recited by copies before (hollow) and after (filled), each with its interval."""
    height = 30 + 34 * len(rows)
    lines = [_dumbbell(row, 28 + 34 * place) for place, row in enumerate(reversed(rows))]
    shares = (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    ticks = "".join(f'<path class="grid" d="M{_wide(v)} 8V{height - 22}"/>' for v in shares)
    ticks += "".join(_text(_wide(v), height - 6, "middle", f"{v:.1f}") for v in shares)
    said = "; ".join(
        f"{r['duplication_count']} copies {100 * r['share_before']:.0f} % before, {100 * r['share_after']:.0f} % after"
        for r in rows
    )
    box = f'viewBox="0 0 460 {height}" role="img" aria-label="Share recited: {said}"'
    return f'<svg class="wide" {box}>{ticks}{"".join(lines)}</svg>'


def _dumbbell(row: dict[str, Any], y: int) -> str:
    def interval(when: str, shift: int) -> str:
        low, high = row[f"lower_{when}"], row[f"upper_{when}"]
        return "" if low is None else f'<path class="bar {when}" d="M{_wide(low)} {y + shift}H{_wide(high)}"/>'

    before, after = _wide(row["share_before"]), _wide(row["share_after"])
    return (
        _text(48, y + 4, "end", f"×{row['duplication_count']}")
        + interval("before", -5)
        + interval("after", 5)
        + f'<path class="link" d="M{before} {y - 5}L{after} {y + 5}"/>'
        + f'<circle class="before" cx="{before}" cy="{y - 5}" r="4.5"/>'
        + f'<circle class="after" cx="{after}" cy="{y + 5}" r="4.5"/>'
    )


def _wide(share: float) -> float:
    return round(64 + 380 * share, 1)


def crossing(pairs: dict[tuple[int, int], int], length: int) -> str:
    """Recited tokens before (across) and after (up); the area of a circle is the number of paragraphs."""
    scale, most = (_SIZE - 64) / max(1, length), max(pairs.values(), default=1)

    def at(value: float) -> float:
        return 44 + scale * value

    circles = "".join(
        f'<circle class="{_kind(*pair)}" cx="{at(pair[0]):.1f}" cy="{_SIZE - at(pair[1]):.1f}" '
        f'r="{max(2.0, 16 * (count / most) ** 0.5):.1f}"/>'
        for pair, count in sorted(pairs.items())
    )
    ticks = "".join(
        _text(at(v), _SIZE - 24, "middle", str(v)) + _text(34, _SIZE - at(v) + 4, "end", str(v))
        for v in (0, length // 2, length)
    )
    diagonal = f'<path class="grid" d="M{at(0)} {_SIZE - at(0)}L{at(length)} {_SIZE - at(length)}"/>'
    middle = _SIZE / 2
    names = _text(middle, _SIZE - 6, "middle", "tokens recited before")
    names += f'<text x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})">after</text>'
    up, down = (sum(n for pair, n in pairs.items() if _kind(*pair) == kind) for kind in ("gain", "loss"))
    same = sum(pairs.values()) - up - down
    said = f"{up} paragraphs recited further than before, {down} less far, {same} as far"
    box = f'viewBox="0 0 {_SIZE:.0f} {_SIZE:.0f}" role="img" aria-label="{said}"'
    return f'<svg class="wide" {box}>{diagonal}{circles}{ticks}{names}</svg>'


def _kind(before: int, after: int) -> str:
    return "gain" if after > before else "loss" if after < before else "same"
