"""Panels that several figures share: histograms, bars, lines of quantiles."""

import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

from priors.audit.measure import LEVELS
from priors.console import printable
from priors.plots.style import BLUE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_NAMES = 10  # bars in one panel of named bars


def histogram(axes: "Axes", values: np.ndarray, bins: Any, label: str, colour: str = BLUE) -> None:
    """How often values fall into each bin.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> histogram(axes, np.array([0.2, 0.4, 0.4]), bins=2, label="share")
        >>> axes.get_xlabel(), axes.get_ylabel()
        ('share', 'datasets')
    """
    axes.hist(values, bins=bins, color=colour, edgecolor="white", linewidth=0.4)
    axes.set(xlabel=label, ylabel="datasets")
    axes.margins(x=0)
    _whole_counts(axes)


def bars(axes: "Axes", values: np.ndarray, label: str, colour: str) -> None:
    """How often each whole number occurs; if their range is above 30, a histogram.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> bars(axes, np.array([2, 3, 3]), "classes", BLUE)
        >>> [int(bar.get_height()) for bar in axes.patches]
        [1, 2]
    """
    if np.ptp(values) > 30:
        histogram(axes, values, 26, label, colour)
        return
    numbers, counts = np.unique(values, return_counts=True)
    axes.bar(numbers, counts, color=colour, width=0.8)
    axes.set(xlabel=label, ylabel="datasets")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _whole_counts(axes)


def named_bars(axes: "Axes", names: np.ndarray, label: str, colour: str) -> None:
    """How often each name occurs, the most frequent ones on top.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> named_bars(axes, np.array(["layered", "random_tree", "layered"]), "datasets", BLUE)
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['layered', 'random tree']
    """
    found, counts = np.unique(names.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_NAMES]
    shown = [printable(name.rpartition(":")[2].replace("_", " ")) for name in found[order]]
    axes.barh(range(len(order)), counts[order], color=colour, height=0.7)
    axes.set_yticks(range(len(order)), ["\n".join(textwrap.wrap(name, 18)) for name in shown], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel(label)


def quantile_lines(axes: "Axes", places: np.ndarray, quantiles: np.ndarray, colour: str) -> None:
    """For each place on the vertical axis its quantiles (n, LEVELS): thin 5-95%, thick 25-75%, the median.

    Examples:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> quantile_lines(axes, np.array([0]), np.array([[0.1, 0.2, 0.3, 0.4, 0.5]]), BLUE)
        >>> axes.lines[0].get_xdata().tolist()
        [0.3]
    """
    at = {level: quantiles[:, i] for i, level in enumerate(LEVELS)}
    axes.hlines(places, at[0.05], at[0.95], color=colour, linewidth=1)
    axes.hlines(places, at[0.25], at[0.75], color=colour, linewidth=3.5)
    axes.plot(at[0.5], places, "o", color=colour, markersize=5.5, mec="white", mew=1)


def _whole_counts(axes: "Axes") -> None:
    axes.yaxis.get_major_locator().set_params(integer=True)
