"""A causal graph as SVG whose nodes can be clicked: features, target, hidden nodes, how far each moves."""

from collections.abc import Hashable, Mapping
from html import escape

from priors.graph_layout import Point, layered_layout
from priors.plots.sampled_datasets import SampledDataset
from priors.plots.style import BLUE, GREEN, GREY, RED, family_label
from priors.sampling.structure import Structure

STEP_X, STEP_Y, MARGIN = 72, 46, 26  # pixels
RADII = {"feature": 13.0, "target": 14.0, "hidden": 8.0}
COLOURS = {"feature": BLUE, "target": RED, "hidden": GREY}
LEAST = 0.005  # a node that moved by less is one that did not move


def graph_svg(
    sampled: SampledDataset,
    chosen: Hashable | None = None,
    moved: Mapping[Hashable, float] | None = None,
    is_clickable: bool = False,
) -> str:
    """The graph of a dataset, causes to the left of their effects.

    Args:
        chosen: the node that is set.
        moved: how far each node moved, in its standard deviations; written below the nodes.
        is_clickable: whether nodes can be reached with the keyboard; each has the attribute `data-node`, its
            place in the model.

    Examples:
        >>> from priors.config import PriorConfig
        >>> from priors.plots.sampled_datasets import sample_in_block
        >>> svg = graph_svg(sample_in_block(PriorConfig(num_nodes=8), 0, 0))
        >>> svg.count("data-node"), svg.count("hidden node")
        (8, 2)
    """
    structure, scm = sampled.structure, sampled.model.scm
    places, routes = layered_layout(structure.graph)
    points = [*places.values(), *(point for route in routes.values() for point in route)]
    left, top = min(x for x, _ in points), max(y for _, y in points)

    def at(point: Point) -> Point:
        return round((point[0] - left) * STEP_X + MARGIN, 1), round((top - point[1]) * STEP_Y + MARGIN, 1)

    width = (max(x for x, _ in points) - left) * STEP_X + 2 * MARGIN
    height = (top - min(y for _, y in points)) * STEP_Y + 2 * MARGIN + 8
    lines = [
        _edge([at(point) for point in route], _role(effect, structure))
        for (_, effect), route in routes.items()
    ]
    for place, node in enumerate(scm.nodes):
        distance = None if moved is None else moved[node]
        lines.append(_node(node, place, at(places[node]), structure, node == chosen, distance, is_clickable))
    family = family_label(structure.family)
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="causal graph: {escape(family)}" '
        f'style="width:{width:.0f}px;max-width:100%;color:inherit">{"".join(lines)}</svg>'
    )


def _role(node: Hashable, structure: Structure) -> str:
    if node == structure.target:
        return "target"
    return "feature" if node in structure.features else "hidden"


def _edge(points: list[Point], role: str) -> str:
    """An arrow that ends at the border of the mark that it leads to."""
    x, y = points[-1]
    end = x - RADII[role] - 6
    path = " ".join(f"{a},{b}" for a, b in [*points[:-1], (end, y)])
    return (
        f'<polyline points="{path}" fill="none" stroke="currentColor" stroke-opacity="0.4"/>'
        f'<path d="M{end} {y - 3.5}l6 3.5l-6 3.5z" fill="currentColor" fill-opacity="0.5"/>'
    )


def _node(
    node: Hashable,
    place: int,
    at: Point,
    structure: Structure,
    is_chosen: bool,
    moved: float | None,
    is_clickable: bool,
) -> str:
    role, (x, y) = _role(node, structure), at
    radius, name = RADII[role], _column(node, role, structure)
    shown = name or f"hidden node {place}"
    is_moved = moved is None or is_chosen or not moved < LEAST
    fill, text_colour = (COLOURS[role], "white") if is_moved else ("white", COLOURS[role])
    style = f'fill="{fill}" stroke="{COLOURS[role]}" stroke-width="1.5"'
    ring = GREEN if is_chosen else "none"
    mark = f'<circle cx="{x}" cy="{y}" r="{radius}" {style}/>'
    if role == "target":
        diamond = f"M{x} {y - radius}l{radius} {radius}l-{radius} {radius}l-{radius} -{radius}z"
        mark = f'<path d="{diamond}" {style}/>'
    below = "" if moved is None else _below(x, y + 28, moved, is_chosen)
    focus = f'tabindex="0" role="button" aria-label="set {shown}" style="cursor:pointer"' * is_clickable
    return (
        f'<g data-node="{place}" {focus}><title>{shown}</title>'
        f'<circle cx="{x}" cy="{y}" r="{radius + 4}" fill="transparent" stroke="{ring}" stroke-width="3"/>'
        f"{mark}"
        f'<text x="{x}" y="{y + 4}" font-size="11" text-anchor="middle" fill="{text_colour}">{name}</text>'
        f"{below}</g>"
    )


def _column(node: Hashable, role: str, structure: Structure) -> str:
    """The name of the node's column in the table; "" if it has none."""
    if role == "feature":
        return f"x{structure.features.index(node)}"
    return "y" if role == "target" else ""


def _below(x: float, y: float, moved: float, is_chosen: bool) -> str:
    text = "set" if is_chosen else "" if moved < LEAST else f"{moved:.2f}" if moved == moved else "?"
    return f'<text x="{x}" y="{y}" font-size="10" text-anchor="middle" fill="currentColor">{text}</text>'
