"""What a prior draws, as figures: graphs, datasets, mechanisms; they need matplotlib (the extra `plots`)."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import networkx as nx
import numpy as np

from priors.audit.audit import METRIC, measure
from priors.config import PriorConfig
from priors.plots.dumps import BLUE, CLASS_COLOURS, DARK, GREY, LIGHT, RED, drawn
from priors.sampling.blocks import shared_in_block
from priors.sampling.dataset import Dataset, sample_with_structure
from priors.sampling.model import sample_scm
from priors.sampling.structure import Structure
from priors.streams import DATASET, split, stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

MOST_FEATURES = 4
"""Features of a dataset that its scatter plots show: the first ones, in the table's own random order."""
SWEEPS = 8  # of the layout, there and back
EDGE_ROOM = 0.4  # of the layout: between two edges, where there is 1 between two nodes
SIDE = 2.2  # inches of a panel


class Draw(NamedTuple):
    """One dataset of a prior with the graph that it comes from."""

    index: int
    dataset: Dataset
    structure: Structure


def sample_draws(config: PriorConfig, num_draws: int, seed: int) -> list[Draw]:
    """The first dataset of each block, for as many blocks: datasets of one block share split and width."""
    draws = []
    for block in range(num_draws):
        of_block, single_eval_pos = shared_in_block(config, seed, block)
        index = block * config.block_size
        rng = stream(seed, DATASET, index)
        draws.append(Draw(index, *sample_with_structure(of_block, rng, single_eval_pos)))
    return draws


# ------------------------------------------------------------------------------------------------ graphs


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
        name: what the title calls the prior.
        num_draws: how many; by family, how many of each. Of a graph of the user's own, which all datasets
            share, there is one picture.
        by_family: one row for each graph family of the prior.

    Raises:
        PlotError: matplotlib is not installed, or `out` has an unknown ending.
        DumpError: the file cannot be written.
        ValueError: fewer than one draw.
    """
    _check_draws(num_draws)
    if config.graph is not None:
        by_family, num_draws = False, 1
    if by_family:
        families = [family for family, weight in config.graphs.items() if weight > 0]
        rows = [sample_draws(replace(config, graphs={family: 1}), num_draws, seed) for family in families]
    else:
        draws = sample_draws(config, num_draws, seed)
        num_columns = min(4, num_draws)
        rows = [draws[start : start + num_columns] for start in range(0, num_draws, num_columns)]
    is_own = config.graph is not None
    number = "" if is_own else " with the number of their column"
    caption = (
        f"Each arrow leads from a cause to its effect. Blue circles are the features of the table{number}, "
        f"the orange diamond is the target to predict, grey dots are not observed."
    )
    title = f"Causal graphs drawn from the prior {Path(name).name} (seed {seed})"
    width, height = SIDE * len(rows[0]), 0.9 + 1.6 * len(rows)
    if is_own:
        title, width, height = f"The causal graph {Path(name).name}", 7.5, 3.8
    with drawn(out, width, height, title, caption) as figure:
        panels = figure.subplots(len(rows), len(rows[0]), squeeze=False)
        for axes in panels.flat:
            axes.axis("off")
        for row, of_row in zip(panels, rows, strict=True):
            for axes, draw in zip(row, of_row, strict=False):
                if not is_own and (not by_family or draw is of_row[0]):
                    axes.set_title(_words(draw.dataset.properties["graph"]), fontsize=8)
                _draw_graph(axes, draw.structure, width / len(rows[0]), named=is_own)


def _words(family: str) -> str:
    return family.rpartition(":")[2].replace("_", " ")


def _draw_graph(axes: "Axes", structure: Structure, width: float, named: bool) -> None:
    """Draw one graph.

    Args:
        width: of the panel, in inches.
        named: whether nodes show their names; otherwise features show their column.
    """
    from matplotlib.patches import FancyArrowPatch

    graph, features, target = structure.graph, structure.features, structure.target
    places, routes = layered_layout(graph)
    x, y = np.array([*places.values(), *chain(*routes.values())]).T
    inches = 0.92 * width  # the rest is space between the panels
    span = max(1.0, x.max()) * inches / (inches - 0.25)
    axes.set_xlim(x.max() / 2 - span / 2, x.max() / 2 + span / 2)
    axes.set_ylim(min(-1, y.min()) - 0.6, max(1, y.max()) + 0.6)
    radius = dict.fromkeys(graph, 2.2) | dict.fromkeys(features, 5.2) | {target: 5.8}  # points

    for edge, route in routes.items():
        gap = (radius[edge[1]] + 0.8) / 72 * span / inches
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
    hidden = [node for node in graph if node != target and node not in features]
    for nodes, marker, size, colour in (
        (hidden, "o", 2.2, GREY),
        (features, "o", 5.2, BLUE),
        ([target], "D", 4.6, RED),
    ):
        if nodes:
            points = np.array([places[node] for node in nodes])
            axes.scatter(
                *points.T,
                s=(2 * size) ** 2,
                marker=marker,
                color=colour,
                linewidth=0,
                zorder=2,
                clip_on=False,
            )
    if named:
        for node in graph:
            colour = {target: RED}.get(node, BLUE if node in features else DARK)
            axes.annotate(
                str(node), places[node], (0, -8), textcoords="offset points", ha="center", va="top",
                fontsize=8, color=colour,
            )  # fmt: skip
    else:
        for column, node in enumerate(features):
            axes.annotate(
                str(column), places[node], ha="center", va="center_baseline", fontsize=6.5, color="white"
            )


def layered_layout(
    graph: nx.DiGraph,
) -> tuple[dict[Hashable, tuple[float, float]], dict[tuple, list[tuple[float, float]]]]:
    """Places for the nodes of an acyclic graph, and routes for its edges, by layers from left to right.

    A node is one layer to the right of the last of its causes (a root, one to the left of its first effect).
    Edges across several layers get a place of their own in each; then the order within the layers is improved
    by sorting each by the mean place of its neighbours, to and fro.

    Returns:
        (x, y) of each node; the points that each edge runs through, both ends included.

    References:
        Sugiyama, Tagawa and Toda, Methods for visual understanding of hierarchical system structures, 1981.
    """
    layer = {node: i for i, nodes in enumerate(nx.topological_generations(graph)) for node in nodes}
    for node in graph:
        if not graph.pred[node] and graph.succ[node]:
            layer[node] = min(layer[effect] for effect in graph.succ[node]) - 1
    layers: list[list] = [[] for _ in range(1 + max(layer.values()))]
    for node in graph:
        layers[layer[node]].append(node)
    paths = {}
    for cause, effect in graph.edges:
        between = [(cause, effect, i) for i in range(layer[cause] + 1, layer[effect])]
        paths[cause, effect] = [cause, *between, effect]
        for item in between:
            layers[item[2]].append(item)
    neighbours: dict[Hashable, tuple[list, list]] = {item: ([], []) for items in layers for item in items}
    for path in paths.values():
        for left, right in pairwise(path):
            neighbours[right][0].append(left)
            neighbours[left][1].append(right)

    height = {}

    def spread(items: list) -> None:
        """From top to bottom around 0; an edge on its way needs less room than a node."""
        rooms = [1.0 if item in layer else EDGE_ROOM for item in items]
        top = sum(rooms) / 2
        for item, room in zip(items, rooms, strict=True):
            height[item] = top - room / 2
            top -= room

    for items in layers:
        spread(items)
    for sweep in range(2 * SWEEPS):
        side = sweep % 2  # by the layer to the left, then by that to the right
        for items in layers[:: 1 if side == 0 else -1]:
            items.sort(
                key=lambda item: (
                    -np.mean([height[other] for other in neighbours[item][side]] or [height[item]])
                )
            )
            spread(items)
    column = {item: i for i, items in enumerate(layers) for item in items}
    points = {item: (float(column[item]), height[item]) for item in column}
    return {node: points[node] for node in graph}, {
        edge: [points[item] for item in path] for edge, path in paths.items()
    }


def _smooth(route: Sequence[tuple[float, float]]):
    """A curve through the points that leaves and enters each of them level."""
    from matplotlib.path import Path as Curve

    points, codes = [route[0]], [Curve.MOVETO]
    for (x0, y0), (x1, y1) in pairwise(route):
        middle = (x0 + x1) / 2
        points += [(middle, y0), (middle, y1), (x1, y1)]
        codes += [Curve.CURVE4] * 3
    return Curve(points, codes)


# ---------------------------------------------------------------------------------------------- datasets


def plot_datasets(config: PriorConfig, name: str, out: str | Path, num_draws: int = 4, seed: int = 0) -> None:
    """Draw some datasets of a prior: their features against each other, coloured by class or target.

    Raises:
        As `plot_graphs`.
    """
    _check_draws(num_draws)
    draws = sample_draws(config, num_draws, seed)
    is_classification = config.problem_type == "classification"
    colours = "Colour is the class" if is_classification else "Colour is the target, from low (dark) to high"
    caption = (
        f"The features of each dataset against each other, at most {MOST_FEATURES} of them; on the diagonal, "
        f"how often their values occur. {colours}; dots are training rows, rings are rows to predict. "
        f"{METRIC[config.problem_type]}: of a random forest that learns from the dots and predicts the "
        f"rings; {'0.5 is chance' if is_classification else '0 is the mean'}, 1 is perfect."
    )
    title = f"Datasets drawn from the prior {Path(name).name} (seed {seed})"
    num_columns = min(2, num_draws)
    num_rows = -(-num_draws // num_columns)
    with drawn(out, 4.6 * num_columns, 0.9 + 4.3 * num_rows, title, caption) as figure:
        panels = figure.subfigures(num_rows, num_columns, squeeze=False, hspace=0.04, wspace=0.04)
        for panel, draw in zip(panels.flat, draws, strict=False):
            named = config.graph is not None
            names = [str(node) if named else f"feature {i}" for i, node in enumerate(draw.structure.features)]
            _draw_dataset(panel, draw, names, is_classification, seed)


def _draw_dataset(
    panel: "SubFigure", draw: Draw, names: list[str], is_classification: bool, seed: int
) -> None:
    x, y, num_train, *_ = draw.dataset
    score = measure(x, y, num_train, is_classification, draw.index, seed).forest
    kind = "classification" if is_classification else "regression"
    panel.suptitle(
        f"Dataset {draw.index}: {num_train} of {len(y)} rows to learn from, {METRIC[kind]} {score:.2f}",
        fontsize=9,
        x=0.02,
        ha="left",
    )
    if is_classification:
        for k, count in enumerate(np.bincount(y)):
            colour = CLASS_COLOURS[k % len(CLASS_COLOURS)]
            text = f"class {k}: {count / len(y):.0%}"
            panel.text(0.98, 0.88 - 0.04 * k, text, ha="right", fontsize=8, color=colour)
    num_features = min(MOST_FEATURES, x.shape[1])
    x = x[:, :num_features]
    is_train = np.arange(len(y)) < num_train
    grid = panel.subplots(num_features, num_features, squeeze=False, sharex="col")
    for row in range(num_features):
        for column in range(num_features):
            axes = grid[row, column]
            axes.tick_params(labelsize=6, length=2)
            axes.locator_params(nbins=3)
            if column > row:
                axes.axis("off")
                continue
            if row == num_features - 1:
                axes.set_xlabel(names[column], fontsize=7, labelpad=2)
            if column == row:
                _draw_values(axes, x[:, column], y, is_classification)
                continue
            if column == 0:
                axes.set_ylabel(names[row], fontsize=7, labelpad=2)
            else:
                axes.set_yticklabels([])
            _draw_pairs(axes, x[:, column], x[:, row], y, is_train, is_classification)


def _draw_values(axes: "Axes", values: np.ndarray, y: np.ndarray, is_classification: bool) -> None:
    """A histogram; stacked by class."""
    bins = np.histogram_bin_edges(values[~np.isnan(values)], 15)
    if is_classification:
        parts = [values[y == k] for k in range(int(y.max()) + 1)]
        colours = [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in range(len(parts))]
    else:
        parts, colours = [values], [GREY]
    axes.hist(parts, bins, stacked=True, color=colours, linewidth=0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _draw_pairs(
    axes: "Axes",
    across: np.ndarray,
    up: np.ndarray,
    y: np.ndarray,
    is_train: np.ndarray,
    is_classification: bool,
) -> None:
    """A scatter plot, training rows as dots and test rows as rings."""
    if is_classification:
        colours = np.array(CLASS_COLOURS)[y % len(CLASS_COLOURS)]
    else:
        from matplotlib import colormaps

        ranks = np.argsort(np.argsort(y)) / (len(y) - 1)
        colours = colormaps["cividis"](ranks)
    size = 7 if len(y) <= 300 else 3
    axes.scatter(across[is_train], up[is_train], s=size, c=colours[is_train], linewidth=0, alpha=0.9)
    axes.scatter(
        across[~is_train], up[~is_train], s=size, facecolors="none", edgecolors=colours[~is_train],
        linewidth=0.6, alpha=0.9,
    )  # fmt: skip


# -------------------------------------------------------------------------------------------- mechanisms


def plot_mechanisms(
    config: PriorConfig, name: str, out: str | Path, num_draws: int = 4, seed: int = 0
) -> None:
    """Draw each mechanism family of a prior: functions of one cause, and of two.

    Args:
        num_draws: functions of one cause, in one panel, and functions of two, in as many.

    Raises:
        As `plot_graphs`.
    """
    _check_draws(num_draws)
    families = [family for family, weight in config.mechanisms.items() if weight > 0]
    caption = (
        "What a node makes of its causes, before noise. Left: functions of one cause, each line a draw. "
        "Right: functions of two causes, one square a draw, from low (dark) to high (bright). Causes run "
        "from -3 to 3 standard deviations."
    )
    if config.aggregations.keys() - {"joint"}:
        caption += " Some join one function of each cause by their sum, product or maximum."
    title = f"Mechanisms drawn from the prior {Path(name).name} (seed {seed})"
    with drawn(out, 2.7 + 1.25 * num_draws, 1.0 + 1.3 * len(families), title, caption) as figure:
        figure.get_layout_engine().set(wspace=0.02)
        widths = [2.1, *[1] * num_draws]
        grid = figure.subplots(len(families), 1 + num_draws, squeeze=False, width_ratios=widths)
        line = np.linspace(-3, 3, 601, dtype=np.float32)
        side = np.linspace(-3, 3, 121, dtype=np.float32)
        square = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)  # (121^2, P)
        for place, (row, family) in enumerate(zip(grid, families, strict=True)):
            curves, *maps = row
            for i in range(num_draws):
                values = mechanism_values(config, family, line[:, None], stream(seed, DATASET, i))
                curves.plot(line, values, color=CLASS_COLOURS[i % len(CLASS_COLOURS)], linewidth=1.2)
            curves.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)
            is_last = place == len(families) - 1
            curves.set(xlim=(-3, 3), ylim=(-3.5, 3.5), xticks=[-3, 0, 3], yticks=[])
            curves.tick_params(labelbottom=is_last)
            curves.set_title(_words(family))
            curves.spines["left"].set_visible(False)
            for i, axes in enumerate(maps):
                values = mechanism_values(config, family, square, stream(seed, DATASET, i))
                axes.imshow(
                    values.reshape(len(side), len(side)), cmap="cividis", origin="lower", vmin=-2.5, vmax=2.5,
                    extent=(-3, 3, -3, 3), interpolation="nearest",
                )  # fmt: skip
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)


def mechanism_values(
    config: PriorConfig, family: str, causes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The values (R,) of a mechanism of `family`, drawn as the prior draws it, at `causes` (R, P).

    They have mean 0 and variance 1 for standard normal causes, as a node standardizes them; zeros where a
    mechanism does not vary.
    """
    num_parents = causes.shape[1]
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_parents + 1))
    graph.add_edges_from((parent, num_parents) for parent in range(num_parents))
    config = replace(config, mechanisms={family: 1}, categorical_fraction=(0, 0), graph=None)
    model_rng, weights_rng, normal_rng = split(rng, 3)
    scm, _, _ = sample_scm(config, graph, model_rng)
    normal = normal_rng.standard_normal((2000, num_parents), dtype=np.float32)
    # One call: a mechanism draws its weights anew in each.
    values = scm.mechanisms[num_parents](np.concatenate([causes, normal]), weights_rng).astype(np.float64)
    usual = values[len(causes) :]
    return (values[: len(causes)] - usual.mean()) / (usual.std() or 1)


def _check_draws(num_draws: int) -> None:
    if num_draws < 1:
        raise ValueError(f"num_draws must be at least 1, got {num_draws}")
