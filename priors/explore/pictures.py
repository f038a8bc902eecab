"""What the page draws: figures as images, and the properties of priors next to those of real tables."""

from collections.abc import Mapping
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from priors.audit.measure import LINEAR, METRIC
from priors.audit.properties import PROPERTIES
from priors.config import PriorConfig
from priors.plots.datasets import plot_datasets
from priors.plots.mechanisms import plot_mechanisms
from priors.plots.style import BLACK, BLUE, GREY, ORANGE, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"A": BLUE, "B": ORANGE}
"""Of the two priors."""

SPANS = {
    "forest": (0.3, 1.0),
    "linear": (0.3, 1.0),
    "headroom": (-0.3, 0.3),
    "smallest_class": (0.0, 0.5),
    "correlation": (0.0, 1.0),
    "effective_dimension": (0.0, 1.0),
    "distinct": (0.0, 1.0),
    "skewness": (0.0, 4.0),
}
"""The axis of each property; values outside are drawn at its ends."""
LOWEST_R2 = -0.5
NUM_BINS = 24
REAL_SHARE = 0.24  # of the height of a panel, below the histograms, where the real tables are


def png(figure: "Figure") -> bytes:
    """A figure as an image.

    Examples:
        >>> with drawn(None, 2, 1, "Rows", "None.") as figure:
        ...     _ = figure.subplots()
        >>> png(figure)[1:4]
        b'PNG'
    """
    image = BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


def plot_properties(
    priors: Mapping[str, Mapping[str, np.ndarray]],
    real: Mapping[str, Mapping[str, float]],
    problem_type: str,
    title: str,
) -> "Figure":
    """Draw how often the properties of datasets have which values, and those of real tables below.

    Args:
        priors: A, or A and B -> property -> values (D,), NaN where undefined.
        real: name of a table -> property -> value.

    Examples:
        >>> values = {"correlation": np.array([0.1, 0.2, np.nan])}
        >>> figure = plot_properties({"A": values}, {"iris": {"correlation": 0.6}}, "classification", "Two")
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['mean |correlation| of features']
    """
    names = [name for name in next(iter(priors.values())) if _is_known(name, priors)]
    num_columns = min(3, len(names))
    num_rows = -(-len(names) // max(1, num_columns))
    num_datasets = max(len(values[name]) for values in priors.values() for name in names)
    which = " and ".join(f"prior {prior}" for prior in priors)
    caption = (
        f"Coloured: {num_datasets} datasets of {which}, by share. Black: {len(real)} real tables, a line "
        "each. Triangles are medians. Values beyond an axis are drawn at its end."
    )
    with drawn(None, 3.0 * num_columns, 1.0 + 1.9 * num_rows, title, caption) as figure:
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for axes in grid.flat[len(names) :]:
            axes.axis("off")
        for axes, name in zip(grid.flat, names, strict=False):
            of_priors = {prior: values[name] for prior, values in priors.items()}
            of_real = np.array([found[name] for found in real.values() if name in found], np.float64)
            _draw_property(axes, name, of_priors, of_real, problem_type)
    return figure


def _is_known(name: str, priors: Mapping[str, Mapping[str, np.ndarray]]) -> bool:
    return any(not np.isnan(values[name]).all() for values in priors.values())


def _draw_property(
    axes: "Axes", name: str, priors: Mapping[str, np.ndarray], real: np.ndarray, problem_type: str
) -> None:
    low, high = _span(name, problem_type)
    bins, tallest = np.linspace(low, high, NUM_BINS + 1), 0.0
    for prior, values in priors.items():
        known = np.clip(values[~np.isnan(values)], low, high)
        if not len(known):
            continue
        shares = np.histogram(known, bins)[0] / len(known)
        axes.stairs(shares, bins, fill=True, color=COLOURS[prior], alpha=0.35, linewidth=0)
        axes.stairs(shares, bins, color=COLOURS[prior], linewidth=1.2, label=f"prior {prior}")
        tallest = max(tallest, shares.max())
    foot = REAL_SHARE * tallest / (1 - REAL_SHARE)
    for prior, values in priors.items():
        known = np.clip(values[~np.isnan(values)], low, high)
        if len(known):
            axes.plot(np.median(known), 1.06 * tallest, "v", color=COLOURS[prior], markersize=7, mew=0)
    known = np.clip(real[~np.isnan(real)], low, high)
    if len(known):
        axes.vlines(known, -foot, -0.25 * foot, color=BLACK, linewidth=0.6, alpha=0.55)
        axes.plot(np.median(known), -0.12 * foot, "^", color=BLACK, markersize=5)
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set(
        xlim=(low, high),
        ylim=(-1.05 * foot, 1.15 * tallest or 1),
        xlabel=_label(name, problem_type),
        yticks=[],
    )
    axes.spines["left"].set_visible(False)


def _span(name: str, problem_type: str) -> tuple[float, float]:
    low, high = SPANS[name]
    return (LOWEST_R2, high) if problem_type == "regression" and name in ("forest", "linear") else (low, high)


def _label(name: str, problem_type: str) -> str:
    """The property in words; the scores and models of regression have other names."""
    text = PROPERTIES[name]
    if problem_type == "regression":
        text = text.replace(METRIC["classification"], METRIC["regression"])
        text = text.replace(LINEAR["classification"], LINEAR["regression"])
    return text


@lru_cache(64)
def picture(kind: str, config: PriorConfig, name: str, num_draws: int, seed: int) -> bytes:
    """A figure of a prior as an image, kept, so that a change of one prior costs nothing of the other.

    Args:
        kind: a key of `FIGURES`.
        name: of the prior, for the title.

    Examples:
        >>> picture("mechanisms", PriorConfig(mechanisms="linear"), "A", num_draws=1, seed=0)[1:4]
        b'PNG'
    """
    return png(FIGURES[kind](config, name, num_draws=num_draws, seed=seed))


FIGURES = {"datasets": plot_datasets, "mechanisms": plot_mechanisms}
