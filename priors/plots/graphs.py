"""The figure of a prior's causal graphs: what is observed of each, and the target."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from priors.config import PriorConfig
from priors.graph_layout import Edge, Point, layered_layout
from priors.plots.sampled_datasets import SampledDataset, check_num_draws, sample_datasets
from priors.plots.style import BLUE, DARK, GREY, RED, drawn, family_label
from priors.sampling.structure import Structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RADII = {"hidden": 2.2, "feature": 5.2, "target": 5.8}  # points; edges end there
WIDTH, HEIGHT = 2.2, 1.6  # inches of a panel, at least
MOST_WIDTH, MOST_HEIGHT = 4.5, 4.0  # and at most; markers are smaller where that is not enough
STEP = 0.175  # inches from one node to the next, so that two of the largest markers do not touch
NAMED_STEP = 0.34  # and with a name below each
LETTER = 0.075  # inches
TITLE = 0.3  # inches above a graph


class Drawing(NamedTuple):
    """One graph with the places of its nodes, before it is drawn."""

    structure: Structure
    places: dict[Hashable, Point]
    routes: dict[Edge, list[Point]]

    @property
    def points(self) -> np.ndarray:
        """All points of nodes and edges, (n, 2)."""
        return np.array([*self.places.values(), *chain(*self.routes.values())])

    @property
    def extent(self) -> tuple[float, float]:
        """Steps between nodes from left to right, and from bottom to top, with half a step at each end."""
        x, y = self.points.T
        return float(np.ptp(x)) + 1, max(float(np.ptp(y)) + 1, 3.0)


def plot_graphs(
    config: PriorConfig,
    name: str,
    out: str | Path | None = None,
    num_draws: int = 12,
    seed: int = 0,
    by_family: bool = False,
) -> "Figure":
    """Draw the graphs behind some datasets of a prior, causes to the left of their effects.

    Args:
        name: the name of the prior in the title.
        num_draws: how many; by family, how many of each. Of a graph of the user's own, which all datasets
            share, there is one picture.
        by_family: one row for each graph family of the prior.

    Raises:
        PlotError: matplotlib is not installed, or `out` has an unknown ending.
        DumpError: the file cannot be written.
        ValueError: fewer than one draw.

    Examples:
        >>> from priors import PRESETS
        >>> figure = plot_graphs(PRESETS["default"], "default", num_draws=2)
        >>> len(figure.axes)
        2
    """
    check_num_draws(num_draws)
    is_own = config.graph is not None
    rows = [
        [_laid_out(sampled.structure) for sampled in row]
        for row in _rows_of_datasets(config, 1 if is_own else num_draws, seed, by_family and not is_own)
    ]
    number = "" if is_own else " with the number of their column"
    caption = (
        f"Each arrow leads from a cause to its effect. Blue circles are the features of the table{number}, "
        f"the orange diamond is the target to predict, grey dots are not observed."
    )
    title = f"Causal graphs drawn from the prior {name} (seed {seed})"
    if is_own:
        title = f"The causal graph {name}"
    width, heights = _size_with_names(rows[0][0]) if is_own else _size(rows)
    with drawn(out, width * len(rows[0]), 0.9 + sum(heights), title, caption) as figure:
        panels = figure.subplots(len(rows), len(rows[0]), squeeze=False, height_ratios=heights)
        for axes in panels.flat:
            axes.axis("off")
        for row, of_row, height in zip(panels, rows, heights, strict=True):
            for axes, drawing in zip(row, of_row, strict=False):
                if not is_own and (not by_family or drawing is of_row[0]):
                    axes.set_title(family_label(drawing.structure.family), fontsize=8)
                _draw_graph(axes, drawing, width, height, named=is_own)
    return figure


def draw_graph(axes: "Axes", structure: Structure, width: float, height: float) -> None:
    """Draw the graph behind a dataset in a panel of a larger figure, in the style of `plot_graphs`.

    Features are blue circles with the number of their column, the target is an orange diamond, what is not
    observed are grey dots; causes are to the left of their effects.

    Args:
        width, height: of the panel with its title, in inches.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> from priors import PRESETS
        >>> [sampled] = sample_datasets(PRESETS["default"], num_draws=1, seed=0)
        >>> axes = Figure().subplots()
        >>> draw_graph(axes, sampled.structure, width=2, height=2)
        >>> [text.get_text() for text in axes.texts]
        ['0', '1', '2', '3', '4']
    """
    axes.axis("off")
    _draw_graph(axes, _laid_out(structure), width, height, named=False)


def _laid_out(structure: Structure) -> Drawing:
    return Drawing(structure, *layered_layout(structure.graph))


def _size(rows: list[list[Drawing]]) -> tuple[float, list[float]]:
    """Width of all panels and height of each row, in inches, so that the markers do not overlap."""
    width = max(STEP * drawing.extent[0] / 0.92 for row in rows for drawing in row)
    heights = [max(STEP * drawing.extent[1] for drawing in row) + TITLE for row in rows]
    return min(max(WIDTH, width), MOST_WIDTH), [min(max(HEIGHT, height), MOST_HEIGHT) for height in heights]


def _size_with_names(drawing: Drawing) -> tuple[float, list[float]]:
    """Width and height of a panel with the names of the nodes, in inches."""
    across, up = drawing.extent
    longest = max(len(str(node)) for node in drawing.places)
    return min(max(7.5, (LETTER * longest + 0.1) * across), 20.0), [min(max(2.9, NAMED_STEP * up), 20.0)]


def _rows_of_datasets(
    config: PriorConfig, num_draws: int, seed: int, by_family: bool
) -> list[list[SampledDataset]]:
    """The datasets in rows of the figure: a row per family, or as many as fit."""
    if by_family:
        families = [family for family, weight in config.graphs.items() if weight > 0]
        return [sample_datasets(replace(config, graphs={family: 1}), num_draws, seed) for family in families]
    sampled = sample_datasets(config, num_draws, seed)
    num_columns = min(4, num_draws)
    return [sampled[start : start + num_columns] for start in range(0, num_draws, num_columns)]


def _draw_graph(axes: "Axes", drawing: Drawing, width: float, height: float, named: bool) -> None:
    """Draw one graph.

    Args:
        width, height: of the panel, in inches.
        named: whether nodes show their names; otherwise features show their column.
    """
    structure, places = drawing.structure, drawing.places
    per_inch = _set_limits(axes, drawing, width, height)
    scale = min(1.0, 1 / (STEP * max(per_inch)))  # of the markers
    _draw_edges(axes, drawing, per_inch[0], scale)
    _draw_nodes(axes, places, structure, scale)
    if named:
        _draw_names(axes, places, structure)
    else:
        for column, node in enumerate(structure.features):
            axes.annotate(
                str(column), places[node], ha="center", va="center_baseline", fontsize=6.5 * scale,
                color="white",
            )  # fmt: skip


def _role(node: Hashable, structure: Structure) -> str:
    if node == structure.target:
        return "target"
    return "feature" if node in structure.features else "hidden"


def _set_limits(axes: "Axes", drawing: Drawing, width: float, height: float) -> tuple[float, float]:
    """Limits with room for the markers at the ends; how many steps are an inch, from left to right and up."""
    (left, low), (right, high) = drawing.points.min(axis=0), drawing.points.max(axis=0)
    inches, inches_up = 0.92 * width, height - TITLE  # the rest is space between the panels, and titles
    across, up = max(right - left, 1.0) * inches / (inches - 0.25), drawing.extent[1]
    axes.set_xlim((left + right - across) / 2, (left + right + across) / 2)
    axes.set_ylim((low + high - up) / 2, (low + high + up) / 2)
    return across / inches, up / inches_up


def _draw_edges(axes: "Axes", drawing: Drawing, per_inch: float, scale: float) -> None:
    """Arrows that end at the border of the marker they lead to."""
    from matplotlib.patches import FancyArrowPatch

    for (_, effect), route in drawing.routes.items():
        radius = scale * RADII[_role(effect, drawing.structure)]  # points
        gap = (radius + 0.8) / 72 * per_inch
        route = [*route[:-1], (route[-1][0] - gap, route[-1][1])]
        axes.add_patch(
            FancyArrowPatch(
                path=_smooth(route),
                arrowstyle="-|>,head_length=2.6,head_width=1.3",
                color=GREY,
                linewidth=0.8 if len(drawing.routes) <= 25 else 0.5,
                mutation_scale=1,
                zorder=1,
                clip_on=False,
            )
        )


def _draw_nodes(axes: "Axes", places: dict[Hashable, Point], structure: Structure, scale: float) -> None:
    for role, marker, size, colour in (
        ("hidden", "o", 2.2, GREY),
        ("feature", "o", 5.2, BLUE),
        ("target", "D", 4.1, RED),
    ):
        points = [place for node, place in places.items() if _role(node, structure) == role]
        if points:
            x, y = np.array(points).T
            area = (2 * size * scale) ** 2
            axes.scatter(
                x, y, s=area, marker=marker, color=colour, linewidth=0, zorder=2, clip_on=False, label=role
            )


def _draw_names(axes: "Axes", places: dict[Hashable, Point], structure: Structure) -> None:
    colours = {"target": RED, "feature": BLUE, "hidden": DARK}
    for node, place in places.items():
        axes.annotate(
            str(node), place, (0, -7), textcoords="offset points", ha="center", va="top", fontsize=8,
            color=colours[_role(node, structure)],
        )  # fmt: skip


def _smooth(route: Sequence[Point]):
    """A curve through the points that leaves and enters each of them level."""
    from matplotlib.path import Path as Curve

    points, codes = [route[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(route):
        middle = (x0 + x1) / 2
        points += [(middle, y0), (middle, y1), (x1, y1)]
        codes += [Curve.CURVE4] * 3
    return Curve(points, codes)
