"""The figure of a prior's datasets: features against each other, coloured by class or target."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from priors.audit.measure import METRIC, measure
from priors.config import PriorConfig
from priors.plots.sampled_datasets import SampledDataset, check_num_draws, sample_datasets
from priors.plots.style import CLASS_COLOURS, GREY, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MOST_FEATURES = 4
"""Features of a dataset that its scatter plots show: the first ones, in the table's own random order."""


def plot_datasets(
    config: PriorConfig, name: str, out: str | Path | None = None, num_draws: int = 4, seed: int = 0
) -> "Figure":
    """Draw some datasets of a prior: their features against each other, coloured by class or target.

    Raises:
        As `plot_graphs`.

    Examples:
        >>> from priors import PriorConfig
        >>> figure = plot_datasets(PriorConfig(num_datapoints=20, num_features=2), "small", num_draws=1)
        >>> len(figure.axes)
        4
    """
    check_num_draws(num_draws)
    sampled_datasets = sample_datasets(config, num_draws, seed)
    is_classification = config.problem_type == "classification"
    colours = "Colour is the class" if is_classification else "Colour is the target, from low (dark) to high"
    caption = (
        f"The features of each dataset against each other, at most {MOST_FEATURES} of them; on the diagonal, "
        f"how often their values occur. {colours}; dots are training rows, rings are rows to predict. "
        f"{METRIC[config.problem_type]}: of a random forest that learns from the dots and predicts the "
        f"rings; {'0.5 is chance' if is_classification else '0 is the mean'}, 1 is perfect."
    )
    title = f"Datasets drawn from the prior {name} (seed {seed})"
    num_columns = min(2, num_draws)
    num_rows = -(-num_draws // num_columns)
    with drawn(out, 5.2 * num_columns, 0.9 + 4.3 * num_rows, title, caption) as figure:
        panels = figure.subfigures(num_rows, num_columns, squeeze=False, hspace=0.04, wspace=0.04)
        for panel, sampled in zip(panels.flat, sampled_datasets, strict=False):
            named = config.graph is not None
            names = [
                str(node) if named else f"feature {i}" for i, node in enumerate(sampled.structure.features)
            ]
            _draw_dataset(panel, sampled, names, is_classification, seed)
    return figure


def _draw_dataset(
    panel: "SubFigure", sampled: SampledDataset, names: list[str], is_classification: bool, seed: int
) -> None:
    x, y, num_train, *_ = sampled.dataset
    score = measure(x, y, num_train, is_classification, sampled.index, seed).forest
    kind = "classification" if is_classification else "regression"
    panel.suptitle(
        f"Dataset {sampled.index}: {num_train} of {len(y)} rows to learn from, {METRIC[kind]} {score:.2f}",
        fontsize=9,
        x=0.02,
        ha="left",
    )
    if is_classification:
        _name_classes(panel, y)
    _draw_features(panel, x[:, :MOST_FEATURES], y, num_train, names, is_classification)


def _name_classes(panel: "SubFigure", y: np.ndarray) -> None:
    """A legend of the classes and their shares, to the right of the panels, where it covers none of them."""
    from matplotlib.lines import Line2D

    counts = np.bincount(y)
    colours = [CLASS_COLOURS[k % len(CLASS_COLOURS)] for k in range(len(counts))]
    handles = [
        Line2D([], [], color=colour, marker="o", linestyle="", label=f"class {k}: {count / len(y):.0%}")
        for k, (colour, count) in enumerate(zip(colours, counts, strict=True))
    ]
    panel.legend(
        handles=handles, loc="outside right upper", labelcolor=colours, handletextpad=0.1, borderaxespad=0.2
    )


def _draw_features(
    panel: "SubFigure",
    x: np.ndarray,
    y: np.ndarray,
    num_train: int,
    names: list[str],
    is_classification: bool,
) -> None:
    """The columns of x (R, F) against each other below the diagonal, and each by itself on it."""
    num_features = x.shape[1]
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
