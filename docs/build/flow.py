"""The flow as a picture, drawn from the asset graph: `python -m docs.build.flow > docs/images/flow.svg`.

One column per group in the order of the flow, one box per asset, one line per dependency between columns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from html import escape

GROUPS = ("corpus", "training", "checkpoints", "memorization", "localization", "analysis", "edits", "marts", "report")
BOX_WIDTH, BOX_HEIGHT, GAP, COLUMN, TOP = 168, 22, 8, 212, 44
HIDDEN = {"marts"}
"""Groups whose assets are told by number: one box for all."""

_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #1c1c1d } .group { font-weight: 600 } svg { background: #fdfdfc }
  path { fill: none; stroke: #8a8a8b; stroke-opacity: .45 } rect { fill: #f4f2ec; stroke: #8a8a8b }
  @media (prefers-color-scheme: dark) { text { fill: #e8e6e1 } rect { fill: #2a2c30 } svg { background: #17181a } }
"""


def flow_svg() -> str:
    """The picture as SVG, the same for the same code."""
    groups, edges = _graph()
    places = dict(_places(groups))
    height = max(y for _, y in places.values()) + BOX_HEIGHT + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {COLUMN * len(groups)} {height}" role="img">',
        f"<title>The flow of rarecall, drawn from its asset graph</title><style>{_STYLE}</style>",
        *_lines(edges, places),
        *_headings(groups),
        *_boxes(places),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _graph() -> tuple[dict[str, list[str]], set[tuple[str, str]]]:
    """Boxes by group, and which box reads which."""
    from orchestration.definitions import defs

    graph = defs.resolve_asset_graph()
    named = {key: (graph.get(key).group_name or "", key.to_user_string()) for key in graph.get_all_asset_keys()}
    box = {key: _size(named.values(), group) if group in HIDDEN else name for key, (group, name) in named.items()}
    found = {group for group, _ in named.values()}
    groups = {g: sorted({box[k] for k, (group, _) in named.items() if group == g}) for g in _ordered(found)}
    edges = {(box[parent], box[key]) for key in named for parent in graph.get(key).parent_keys if parent in box}
    return groups, {(a, b) for a, b in edges if a != b}


def _size(named: Iterable[tuple[str, str]], group: str) -> str:
    return f"{sum(one == group for one, _ in named)} views and tables"


def _ordered(found: set[str]) -> list[str]:
    """Known groups in the order of the flow, others before the marts."""
    others = sorted(found - set(GROUPS))
    return [g for g in (*GROUPS[:-2], *others, *GROUPS[-2:]) if g in found]


def _places(groups: dict[str, list[str]]) -> Iterator[tuple[str, tuple[int, int]]]:
    for column, names in enumerate(groups.values()):
        for row, name in enumerate(names):
            yield name, (column * COLUMN + 8, TOP + row * (BOX_HEIGHT + GAP))


def _headings(groups: dict[str, list[str]]) -> Iterator[str]:
    for column, group in enumerate(groups):
        yield f'<text class="group" x="{column * COLUMN + 8}" y="26">{escape(group)}</text>'


def _boxes(places: dict[str, tuple[int, int]]) -> Iterator[str]:
    for name, (x, y) in sorted(places.items()):
        yield f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="4"/>'
        yield f'<text x="{x + 8}" y="{y + 15}">{escape(name)}</text>'


def _lines(edges: set[tuple[str, str]], places: dict[str, tuple[int, int]]) -> Iterator[str]:
    for upstream, downstream in sorted(edges):
        (x, y), (to_x, to_y) = places[upstream], places[downstream]
        start, end, middle = x + BOX_WIDTH, to_x, BOX_HEIGHT // 2
        if end > start:
            bend = (end - start) // 2
            yield (
                f'<path d="M{start} {y + middle}C{start + bend} {y + middle} {end - bend} {to_y + middle} '
                f'{end} {to_y + middle}"/>'
            )


if __name__ == "__main__":
    sys.stdout.write(flow_svg())
