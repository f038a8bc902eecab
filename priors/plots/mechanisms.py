"""The figure of a prior's mechanisms: functions of one cause, and of two."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np

from priors.config import PriorConfig
from priors.plots.sampled_datasets import check_num_draws
from priors.plots.style import CLASS_COLOURS, LIGHT, drawn, family_label
from priors.sampling.random_scm import sample_scm
from priors.streams import DATASET, split, stream

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE = np.linspace(-3, 3, 601, dtype=np.float32)  # of one cause, in standard deviations
SIDE = np.linspace(-3, 3, 121, dtype=np.float32)  # of each of two causes


def plot_mechanisms(
    config: PriorConfig, name: str, out: str | Path | None = None, num_draws: int = 4, seed: int = 0
) -> "Figure":
    """Draw each mechanism family of a prior: functions of one cause, and of two.

    Args:
        num_draws: functions of one cause, in one panel, and functions of two, in as many.

    Raises:
        As `plot_graphs`.

    Examples:
        >>> from priors import PRESETS
        >>> figure = plot_mechanisms(PRESETS["linear"], "linear", num_draws=1)
        >>> figure.axes[0].get_title(loc="left")
        'linear'
    """
    check_num_draws(num_draws)
    families = [family for family, weight in config.mechanisms.items() if weight > 0]
    caption = (
        "The values of a node as a function of its causes, before noise. Left: functions of one cause, each "
        "line a draw. Right: functions of two causes, one square a draw, from low (dark) to high (bright). "
        "Causes run from -3 to 3 standard deviations."
    )
    if config.aggregations.keys() - {"joint"}:
        caption += " Some join one function of each cause by their sum, product or maximum."
    title = f"Mechanisms drawn from the prior {name} (seed {seed})"
    with drawn(out, 2.7 + 1.25 * num_draws, 1.0 + 1.3 * len(families), title, caption) as figure:
        figure.get_layout_engine().set(wspace=0.02)
        widths = [2.1, *[1] * num_draws]
        grid = figure.subplots(len(families), 1 + num_draws, squeeze=False, width_ratios=widths)
        for (curves, *maps), family in zip(grid, families, strict=True):
            curves.set_title(family_label(family))
            curves.tick_params(labelbottom=family == families[-1])
            _draw_curves(curves, config, family, num_draws, seed)
            for i, axes in enumerate(maps):
                _draw_map(axes, config, family, i, seed)
    return figure


def _draw_curves(axes: "Axes", config: PriorConfig, family: str, num_draws: int, seed: int) -> None:
    for i in range(num_draws):
        values = mechanism_values(config, family, LINE[:, None], stream(seed, DATASET, i))
        axes.plot(LINE, values, color=CLASS_COLOURS[i % len(CLASS_COLOURS)], linewidth=1.2)
    axes.axhline(0, color=LIGHT, linewidth=0.8, zorder=0)
    axes.set(xlim=(-3, 3), ylim=(-3.5, 3.5), xticks=[-3, 0, 3], yticks=[])
    axes.spines["left"].set_visible(False)


def _draw_map(axes: "Axes", config: PriorConfig, family: str, number: int, seed: int) -> None:
    square = np.stack(np.meshgrid(SIDE, SIDE), axis=-1).reshape(-1, 2)  # (121^2, P)
    values = mechanism_values(config, family, square, stream(seed, DATASET, number))
    axes.imshow(
        values.reshape(len(SIDE), len(SIDE)), cmap="cividis", origin="lower", vmin=-2.5, vmax=2.5,
        extent=(-3, 3, -3, 3), interpolation="nearest",
    )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def mechanism_values(
    config: PriorConfig, family: str, causes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The values (R,) of a mechanism of `family`, drawn as the prior draws it, at `causes` (R, P).

    They have mean 0 and variance 1 for standard normal causes, as a node standardizes them; if the mechanism
    is constant, they are 0.

    Examples:
        >>> causes = np.array([[-1.0], [0.0], [1.0]], np.float32)
        >>> values = mechanism_values(PriorConfig(), "linear", causes, stream(0))
        >>> bool(abs(values[0] + values[2] - 2 * values[1]) < 1e-4)
        True
    """
    num_parents = causes.shape[1]
    graph = nx.DiGraph()
    graph.add_nodes_from(range(num_parents + 1))
    graph.add_edges_from((parent, num_parents) for parent in range(num_parents))
    config = replace(
        config, mechanisms={family: 1}, categorical_fraction=(0, 0), drift_fraction=(0, 0), graph=None
    )
    model_rng, weights_rng, normal_rng = split(rng, 3)
    scm, _, _ = sample_scm(config, graph, model_rng)
    normal = normal_rng.standard_normal((2000, num_parents), dtype=np.float32)
    # One call: a mechanism draws its weights anew in each.
    values = scm.mechanisms[num_parents](np.concatenate([causes, normal]), weights_rng).astype(np.float64)
    usual = values[len(causes) :]
    return (values[: len(causes)] - usual.mean()) / (usual.std() or 1)
