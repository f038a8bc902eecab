"""The figure of a dump: how its datasets differ in sizes, splits, classes, correlation, learnability."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from priors.audit.audit import Audit, audit_dump
from priors.audit.measure import METRIC
from priors.dumps.read import open_dump
from priors.plots.panels import bars, histogram, named_bars
from priors.plots.style import BLUE, GREEN, PlotError, check_figure, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHARE_BINS = np.linspace(0, 1, 26)


class Sizes(NamedTuple):
    """Of each sound record of a dump; D of them."""

    rows: np.ndarray  # (D,)
    features: np.ndarray  # (D,)
    splits: np.ndarray  # (D,), training rows / rows
    families: np.ndarray  # (D,), names of graph families; (0,) where the dump does not store them


class Panel(NamedTuple):
    """One panel of the figure."""

    heading: str
    draw: Callable[["Axes"], None]


def plot_dump(
    path: str | Path,
    out: str | Path | None = None,
    num_datasets: int = 200,
    seed: int = 0,
    num_workers: int = 1,
    on_read: Callable[[int], None] | None = None,
    on_measured: Callable[[int], None] | None = None,
) -> "Figure":
    """Draw how the datasets of a dump differ: sizes, splits, classes, correlation, learnability.

    Args:
        num_datasets: size of the sample that is measured, as `audit_dump` does; sizes and splits are of all.
        seed: of the sample.
        num_workers: processes. They and the two callbacks are passed to `audit_dump`.

    Raises:
        PlotError: as `check_figure`, or every record is damaged.
        DumpError: the dump cannot be opened, or the figure not be written.

    Examples:
        >>> import tempfile
        >>> from priors import PRESETS, generate_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = generate_dump(f"{folder}/mine.h5", PRESETS["linear"], 2, seed=0)
        ...     figure = plot_dump(f"{folder}/mine.h5", num_datasets=1)
        >>> figure.get_suptitle()
        'mine.h5: 2 datasets, all of 150 rows and 5 features'
    """
    check_figure(out)
    found = audit_dump(path, num_datasets, seed, "own", num_workers, on_read, on_measured)
    if not found.datasets:
        raise PlotError(f"{path}: every record is damaged, so there is nothing to draw")
    sizes = _sizes(path, found)
    panels = [*_panels_of_all(sizes), *_panels_of_sample(found)]
    if len(sizes.families):
        panels.append(
            Panel("Graph families", lambda axes: named_bars(axes, sizes.families, "datasets", BLUE))
        )
    num_columns = {4: 2, 7: 4, 8: 4}.get(len(panels), 3)
    num_rows = -(-len(panels) // num_columns)
    width, height = 3.1 * num_columns, 0.9 + 2.4 * num_rows
    with drawn(out, width, height, _title(path, found, sizes), _caption(found)) as figure:
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        for axes, panel in zip(grid.flat, panels, strict=False):
            panel.draw(axes)
            axes.set_title(panel.heading)
    return figure


def _sizes(path: str | Path, found: Audit) -> Sizes:
    with open_dump(path, check_sizes=False) as dump:
        sound = np.setdiff1d(np.arange(len(dump)), found.damaged)
        rows = dump.num_datapoints[sound]
        families = dump.read_property("graph")[sound] if "graph" in dump.properties else np.array([])
        return Sizes(rows, dump.num_features[sound], dump.single_eval_pos[sound] / rows, families)


def _panels_of_all(sizes: Sizes) -> list[Panel]:
    """Splits, rows and features of all records; sizes that are the same in all records are in the title."""
    panels = [
        Panel(
            "Splits",
            lambda axes: histogram(axes, sizes.splits, SHARE_BINS, "training rows / rows"),
        )
    ]
    if np.ptp(sizes.rows) > 0:
        panels.append(Panel("Rows", lambda axes: bars(axes, sizes.rows, "rows", BLUE)))
    if np.ptp(sizes.features) > 0:
        panels.append(Panel("Features", lambda axes: bars(axes, sizes.features, "features", BLUE)))
    return panels


def _panels_of_sample(found: Audit) -> list[Panel]:
    """Classes, correlation and learnability of the measured datasets, those that there is something of."""
    panels = []
    classes = _classes(found)
    if len(classes) and np.ptp(classes) > 0:
        panels.append(Panel("Classes *", lambda axes: bars(axes, classes, "classes", GREEN)))
    for heading, values, bins, label in (
        (
            "The smallest class *",
            found.column("smallest_class"),
            np.linspace(0, 0.5, 26),
            "share of the rows",
        ),
        (
            "How correlated the features are *",
            found.column("correlation"),
            SHARE_BINS,
            "mean |correlation| of features",
        ),
        (
            "How much there is to learn *",
            np.clip(found.scores()[:, 0], 0, 1),
            SHARE_BINS,
            f"{METRIC[found.problem_type]} of a random forest",
        ),
    ):
        if len(values):
            panels.append(
                Panel(heading, lambda axes, v=values, b=bins, t=label: histogram(axes, v, b, t, GREEN))
            )
    return panels


def _classes(found: Audit) -> np.ndarray:
    if found.problem_type == "regression":
        return np.array([], int)
    return found.column("num_classes").astype(int)


def _title(path: str | Path, found: Audit, sizes: Sizes) -> str:
    constants = [
        f"{values[0]:,} {unit}"
        for values, unit in ((sizes.rows, "rows"), (sizes.features, "features"))
        if np.ptp(values) == 0
    ]
    same = f", all of {' and '.join(constants)}" if constants else ""
    damaged = f", {len(found.damaged):,} damaged and left out" if found.damaged else ""
    return f"{Path(path).name}: {found.num_records:,} datasets{same}{damaged}"


def _caption(found: Audit) -> str:
    classes = _classes(found)
    of_classes = f", all of {classes[0]} classes" if len(classes) and np.ptp(classes) == 0 else ""
    at_worst = "0 is the mean, or worse" if found.problem_type == "regression" else "0.5 is chance"
    return (
        f"* Green: a sample of {len(found.datasets):,} datasets{of_classes}. {METRIC[found.problem_type]}: "
        f"of a random forest that learns from a dataset's training rows and predicts the others ({at_worst}, "
        f"1 is perfect)."
    )
