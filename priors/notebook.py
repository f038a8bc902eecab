"""What a notebook shows of a value: facts, small tables and graphs, in HTML that needs nothing else.

All texts are escaped: names may come from files of others. Colours are transparent or those of the page, so
that they are readable on dark pages too.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

import networkx as nx

from priors.graph_layout import layered_layout

COLOURS = ("31,119,180", "255,127,14", "44,160,44", "214,39,40", "148,103,189", "140,86,75")
"""Of classes, as red, green and blue; repeated where there are more classes."""

MOST_NODES = 40
"""A graph with more is not drawn: it could not be read."""

MOST_LETTERS = 12
"""Of the name of a node that are shown; all are shown when the mouse is on it."""

COLUMN, ROW = 96, 34  # pixels between the nodes of a graph
RADIUS = 11
CELL = "padding:1px 8px;text-align:right;font-variant-numeric:tabular-nums"


def block(title: str, *parts: str) -> str:
    """A value: its kind in bold, a line about it, and the parts below.

    Examples:
        >>> block("SCM: 2 nodes", "<p>x</p>")
        '<div><div><b>SCM</b>: 2 nodes</div><p>x</p></div>'
    """
    kind, colon, rest = escape(title).partition(":")
    return f"<div><div><b>{kind}</b>{colon}{rest}</div>{''.join(parts)}</div>"


def facts(rows: Mapping[str, Any]) -> str:
    """A table of names and values; values that are None are left out.

    Examples:
        >>> facts({"seed": 0, "created": None}).count("<tr>")
        1
    """
    left = 'style="text-align:left;padding-right:12px"'
    lines = (
        f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(_text(value))}</td></tr>"
        for name, value in rows.items()
        if value is not None
    )
    return f"<table>{''.join(lines)}</table>"


def folded(title: str, content: str) -> str:
    """Content, in HTML, that a click shows.

    Examples:
        >>> folded("3 more", "<p>x</p>")
        '<details><summary>3 more</summary><p>x</p></details>'
    """
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def cells(header: Sequence[str], rows: Iterable[Sequence[Any]], colour: Callable | None = None) -> str:
    """A table of numbers and texts.

    Args:
        header: names of the columns.
        rows: of values; None is an empty cell.
        colour: (value of the last column) -> red, green and blue of its cell, or None.
    """
    lines = ["".join(f'<th style="{CELL}">{escape(name)}</th>' for name in header)]
    for row in rows:
        *others, last = row
        shade = colour(last) if colour is not None and last is not None else None
        style = f"{CELL};background:rgba({shade},0.3)" if shade else CELL
        line = [f'<td style="{CELL}">{escape(_text(value))}</td>' for value in others]
        lines.append("".join([*line, f'<td style="{style}">{escape(_text(last))}</td>']))
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def shares(parts: Mapping[str, float]) -> str:
    """A bar of shares, which add up to 1, with a colour for each.

    Examples:
        >>> shares({"setosa": 0.25, "other": 0.75})[-30:]
        ' setosa: 25%, other: 75%</div>'
    """
    pieces = (
        f'<span title="{escape(name)}: {share:.1%}" style="display:inline-block;height:10px;width:'
        f'{200 * share:.1f}px;background:rgba({COLOURS[number % len(COLOURS)]},0.6)"></span>'
        for number, (name, share) in enumerate(parts.items())
    )
    named = ", ".join(f"{escape(name)}: {share:.0%}" for name, share in parts.items())
    return f"<div>{''.join(pieces)} {named}</div>"


def bars(counts: Sequence[int]) -> str:
    """A histogram without axes."""
    most, width = max([1, *counts]), 8
    drawn = "".join(
        f'<rect x="{width * number}" y="{30 - 30 * count / most:.1f}" width="{width - 1}" '
        f'height="{30 * count / most:.1f}"/>'
        for number, count in enumerate(counts)
    )
    return (
        f'<svg width="{width * len(counts)}" height="30" fill="currentColor" fill-opacity="0.5">{drawn}</svg>'
    )


def graph_drawing(drawn: nx.DiGraph, kinds: Mapping[Hashable, str]) -> str:
    """An acyclic graph from left to right; only a line about it if it has more than MOST_NODES nodes.

    Args:
        kinds: node -> root, node or category: the look of its mark.

    Examples:
        >>> chain = nx.path_graph(3, create_using=nx.DiGraph)
        >>> graph_drawing(chain, dict.fromkeys(chain, "node")).count("<circle")
        3
        >>> graph_drawing(nx.path_graph(99, create_using=nx.DiGraph), {})
        '<div>not drawn: it has more than 40 nodes</div>'
    """
    if len(drawn) > MOST_NODES:
        return f"<div>not drawn: it has more than {MOST_NODES} nodes</div>"
    places, routes = layered_layout(drawn)
    left, top = min(x for x, _ in places.values()), max(y for _, y in places.values())
    every = [*places.values(), *(point for route in routes.values() for point in route)]
    top = max(top, *(y for _, y in every))
    width = (max(x for x, _ in every) - left) * COLUMN + COLUMN
    height = (top - min(y for _, y in every)) * ROW + 2 * ROW

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return round((point[0] - left) * COLUMN + COLUMN / 2, 1), round((top - point[1]) * ROW + ROW * 0.7, 1)

    lines = []
    for route in routes.values():
        points = [at(point) for point in route]
        points[0] = (points[0][0] + RADIUS, points[0][1])
        points[-1] = (points[-1][0] - RADIUS - 5, points[-1][1])
        path = " ".join(f"{x},{y}" for x, y in points)
        (x, y) = points[-1]
        lines.append(f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-opacity="0.5"/>')
        lines.append(f'<path d="M{x} {y - 3}l6 3l-6 3z" fill="currentColor" fill-opacity="0.6"/>')
    for node, place in places.items():
        lines.append(_mark(str(node), *at(place), kinds[node]))
    svg = f'<svg width="{width:.0f}" height="{height:.0f}" style="max-width:100%">{"".join(lines)}</svg>'
    return f"{svg}<div>filled: root; square: category</div>"


def _mark(name: str, x: float, y: float, kind: str) -> str:
    """A node with its name below: a filled circle for a root, a square for a category."""
    shade = 0.35 if kind == "root" else 0.08
    look = f'stroke="currentColor" fill="currentColor" fill-opacity="{shade}"'
    shape = f'<circle cx="{x}" cy="{y}" r="{RADIUS - 3}" {look}/>'
    if kind == "category":
        shape = f'<rect x="{x - 7}" y="{y - 7}" width="14" height="14" {look}/>'
    short = name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
    return (
        f"<g>{shape}<title>{escape(name)} ({kind})</title>"
        f'<text x="{x}" y="{y + 18}" font-size="10" text-anchor="middle" fill="currentColor">'
        f"{escape(short)}</text></g>"
    )


def _text(value: Any) -> str:
    """A cell: numbers in three digits, nothing for a missing one."""
    if isinstance(value, float):
        return "" if value != value else f"{value:.3g}"  # NaN
    return "" if value is None else str(value)
