"""The figure of a prior's causal graphs: what is observed of each, and the target."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from priors.config import PriorConfig
from priors.plots.draws import Draw, check_draws, sample_draws, words
from priors.plots.layout import Edge, Point, layered_layout
from priors.plots.style import BLUE, DARK, GREY, RED, drawn
from priors.sampling.structure import Structure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 2.2  # inches of a panel
RADII = {"hidden": 2.2, "feature": 5.2, "target": 5.8}  # points; edges end there


def plot_graphs(
    config: PriorConfig,
    name: str,
    out: str | Path,
    num_draws: int = 12,
    seed: int = 0,
    by_family: bool = False,
) -> None:
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
    """
    check_draws(num_draws)
    is_own = config.graph is not None
    rows = _rows_of_draws(config, 1 if is_own else num_draws, seed, by_family and not is_own)
    number = "" if is_own else " with the number of their column"
    caption = (
        f"Each arrow leads from a cause to its effect. Blue circles are the features of the table{number}, "
        f"the orange diamond is the target to predict, grey dots are not observed."
    )
    title = f"Causal graphs drawn from the prior {name} (seed {seed})"
    width, height = SIDE * len(rows[0]), 0.9 + 1.6 * len(rows)
    if is_own:
        title, width, height = f"The causal graph {name}", 7.5, 3.8
    with drawn(out, width, height, title, caption) as figure:
        panels = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for axes in panels.flat:
            axes.axis("off")
        for row, of_row in zip(panels, rows, strict=True):
            for axes, draw in zip(row, of_row, strict=False):
                if not is_own and (not by_family or draw is of_row[0]):
                    axes.set_title(words(draw.dataset.properties["graph"]), fontsize=8)
                _draw_graph(axes, draw.structure, width / len(rows[0]), named=is_own)


def _rows_of_draws(config: PriorConfig, num_draws: int, seed: int, by_family: bool) -> list[list[Draw]]:
    """The draws in rows of the figure: a row per family, or as many as fit."""
    if by_family:
        families = [family for family, weight in config.graphs.items() if weight > 0]
        return [sample_draws(replace(config, graphs={family: 1}), num_draws, seed) for family in families]
    draws = sample_draws(config, num_draws, seed)
    num_columns = min(4, num_draws)
    return [draws[start : start + num_columns] for start in range(0, num_draws, num_columns)]


def _draw_graph(axes: "Axes", structure: Structure, width: float, named: bool) -> None:
    """Draw one graph.

    Args:
        width: of the panel, in inches.
        named: whether nodes show their names; otherwise features show their column.
    """
    places, routes = layered_layout(structure.graph)
    units = _set_limits(axes, [*places.values(), *chain(*routes.values())], width)
    _draw_edges(axes, routes, structure, units)
    _draw_nodes(axes, places, structure)
    if named:
        _draw_names(axes, places, structure)
    else:
        for column, node in enumerate(structure.features):
            axes.annotate(
                str(column), places[node], ha="center", va="center_baseline", fontsize=6.5, color="white"
            )


def _role(node: Hashable, structure: Structure) -> str:
    if node == structure.target:
        return "target"
    return "feature" if node in structure.features else "hidden"


def _set_limits(axes: "Axes", points: list[Point], width: float) -> float:
    """Limits with room for the markers at the ends; how many units of x are an inch."""
    x, y = np.array(points).T
    inches = 0.92 * width  # the rest is space between the panels
    span = max(1.0, x.max()) * inches / (inches - 0.25)
    axes.set_xlim(x.max() / 2 - span / 2, x.max() / 2 + span / 2)
    axes.set_ylim(min(-1, y.min()) - 0.6, max(1, y.max()) + 0.6)
    return span / inches


def _draw_edges(axes: "Axes", routes: dict[Edge, list[Point]], structure: Structure, units: float) -> None:
    """Arrows that end at the border of the marker they lead to."""
    from matplotlib.patches import FancyArrowPatch

    for (_, effect), route in routes.items():
        gap = (RADII[_role(effect, structure)] + 0.8) / 72 * units
        route = [*route[:-1], (route[-1][0] - gap, route[-1][1])]
        axes.add_patch(
            FancyArrowPatch(
                path=_smooth(route),
                arrowstyle="-|>,head_length=2.6,head_width=1.3",
                color=GREY,
                linewidth=0.8 if len(routes) <= 25 else 0.5,
                mutation_scale=1,
                zorder=1,
                clip_on=False,
            )
        )


def _draw_nodes(axes: "Axes", places: dict[Hashable, Point], structure: Structure) -> None:
    for role, marker, size, colour in (
        ("hidden", "o", 2.2, GREY),
        ("feature", "o", 5.2, BLUE),
        ("target", "D", 4.6, RED),
    ):
        points = [place for node, place in places.items() if _role(node, structure) == role]
        if points:
            x, y = np.array(points).T
            axes.scatter(
                x, y, s=(2 * size) ** 2, marker=marker, color=colour, linewidth=0, zorder=2, clip_on=False
            )


def _draw_names(axes: "Axes", places: dict[Hashable, Point], structure: Structure) -> None:
    colours = {"target": RED, "feature": BLUE, "hidden": DARK}
    for node, place in places.items():
        axes.annotate(
            str(node), place, (0, -8), textcoords="offset points", ha="center", va="top", fontsize=8,
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
