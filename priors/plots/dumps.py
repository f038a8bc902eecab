"""Figures of priors and dumps, in one style; they need matplotlib (the extra `plots`)."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from priors.audit.audit import (
    AT_CHANCE,
    LEVELS,
    LINEAR,
    MARGIN,
    METRIC,
    TRIVIAL,
    Audit,
    audit,
    chance_correlation,
)
from priors.console import printable
from priors.dumps.files import replaced_when_done
from priors.dumps.read import open_dump

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's palette, which the colour-blind tell apart too (https://jfly.uni-koeln.de/color/).
BLUE, ORANGE, GREEN, RED, SKY, PINK = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7"
BLACK, DARK, GREY, LIGHT = "#000000", "#555555", "#AAAAAA", "#EEEEEE"
CLASS_COLOURS = (BLUE, RED, GREEN, ORANGE, PINK, SKY, BLACK, "#B8A200", GREY, "#7A3E00")

STYLE = {
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelcolor": DARK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": DARK,
    "ytick.labelcolor": DARK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "svg.hashsalt": "nanotabpfn-priors",  # else each file has names of its own
}
ENDINGS = (".png", ".svg", ".pdf")
DPI = 130
MOST_NAMES = 10  # of graph families in one panel


class PlotError(Exception):
    """A figure that cannot be drawn; the message says why, and what helps."""


def check_figure(out: str | Path) -> None:
    """Stop before any work where no figure can be written.

    Raises:
        PlotError: matplotlib is not installed, or `out` has another ending than .png, .svg or .pdf.
    """
    if Path(out).suffix not in ENDINGS:
        raise PlotError(f"{out}: a figure must end in one of {', '.join(ENDINGS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PlotError('figures need matplotlib: pip install "nanotabpfn-priors[plots]"') from error


@contextmanager
def drawn(out: str | Path, width: float, height: float, title: str, caption: str) -> Iterator["Figure"]:
    """An empty figure with a title and, below, a caption; written to `out` when it is drawn.

    Args:
        width: in inches; so is `height`.
    """
    check_figure(out)
    import matplotlib as mpl
    from matplotlib.figure import Figure

    out = Path(out)
    with mpl.rc_context(STYLE), replaced_when_done(out) as partial:
        figure = Figure(figsize=(width, height), layout="constrained", dpi=DPI)
        # Matplotlib does not wrap them in a constrained layout; so many letters fill an inch.
        title, caption = textwrap.fill(title, round(width * 11)), textwrap.fill(caption, round(width * 17))
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
        figure.supxlabel(caption, x=0.01, ha="left", fontsize=8, color=DARK)
        yield figure
        if out.suffix == ".png":
            _save_png(figure, partial)
        else:
            metadata = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}[out.suffix]
            figure.savefig(partial, format=out.suffix[1:], metadata=metadata)


def _save_png(figure: "Figure", path: Path) -> None:
    """With 256 colours, in a third of the bytes."""
    from PIL import Image  # matplotlib needs it too

    drawing = BytesIO()
    figure.savefig(drawing, format="png")
    image = Image.open(drawing).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(path, format="png", optimize=True)


# ------------------------------------------------------------------------------------------------- dumps


def plot_dump(
    path: str | Path,
    out: str | Path,
    num_datasets: int = 200,
    seed: int = 0,
    num_workers: int = 1,
    on_read: Callable[[int], None] | None = None,
    on_measured: Callable[[int], None] | None = None,
) -> None:
    """Draw how the datasets of a dump differ: sizes, splits, classes, correlation, learnability.

    Args:
        num_datasets: how many to measure, as `audit` does; sizes and splits are of all.
        seed: of the sample.
        num_workers: processes; so are the callbacks those of `audit`.

    Raises:
        PlotError: as `check_figure`, or every record is damaged.
        DumpError: the dump cannot be opened, or the figure not be written.
    """
    check_figure(out)
    found = audit(path, num_datasets, seed, "own", num_workers, on_read, on_measured)
    if not found.datasets:
        raise PlotError(f"{path}: every record is damaged, so there is nothing to draw")
    with open_dump(path, check_sizes=False) as dump:
        sound = np.setdiff1d(np.arange(len(dump)), found.damaged)
        features, rows = dump.num_features[sound], dump.num_datapoints[sound]
        split = dump.single_eval_pos[sound] / rows
        families = dump.read_property("graph")[sound] if "graph" in dump.properties else np.array([])
    is_classification = found.problem_type == "classification"
    classes = found.column("num_classes").astype(int) if is_classification else np.array([], int)
    # What is the same in every dataset is said in words.
    constants = [
        f"{values[0]:,} {unit}"
        for values, unit in ((rows, "rows"), (features, "features"))
        if (values == values[0]).all()
    ]
    metric = METRIC[found.problem_type]
    panels = [
        (_histogram, split, np.linspace(0, 1, 26), "training rows / rows", "Splits", BLUE),
        (_bars, rows, None, "rows", "Rows", BLUE),
        (_bars, features, None, "features", "Features", BLUE),
        (_bars, classes, None, "classes", "Classes *", GREEN),
        (
            *(_histogram, found.column("smallest_class"), np.linspace(0, 0.5, 26)),
            *("share of the rows", "The smallest class *", GREEN),
        ),
        (
            *(_histogram, found.column("correlation"), np.linspace(0, 1, 26)),
            *("mean |correlation| of features", "How correlated the features are *", GREEN),
        ),
        (
            *(_histogram, np.clip(found.scores()[:, 0], 0, 1), np.linspace(0, 1, 26)),
            *(f"{metric} of a random forest", "How much there is to learn *", GREEN),
        ),
        (_named_bars, families, None, "datasets", "Graph families", BLUE),
    ]
    panels = [panel for panel in panels if len(panel[1]) and (panel[0] != _bars or np.ptp(panel[1]) > 0)]
    same = f", all of {' and '.join(constants)}" if constants else ""
    damaged = f", {len(found.damaged):,} damaged and left out" if found.damaged else ""
    title = f"{Path(path).name}: {found.num_records:,} datasets{same}{damaged}"
    of_classes = f", all of {classes[0]} classes" if is_classification and np.ptp(classes) == 0 else ""
    caption = (
        f"* Green: a sample of {len(found.datasets):,} datasets{of_classes}. {metric}: of a forest of trees "
        f"that learns from a dataset's training rows and predicts the others "
        f"({'0.5 is chance' if is_classification else '0 is the mean, or worse'}, 1 is perfect)."
    )
    num_columns = {4: 2, 7: 4, 8: 4}.get(len(panels), 3)
    num_rows = -(-len(panels) // num_columns)
    with drawn(out, 3.1 * num_columns, 0.9 + 2.4 * num_rows, title, caption) as figure:
        grid = figure.subplots(num_rows, num_columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.axis("off")
        for axes, (draw, values, bins, label, heading, colour) in zip(grid.flat, panels, strict=False):
            draw(axes, values, bins, label, colour)
            axes.set_title(heading)


# ------------------------------------------------------------------------------------------------ audits


def plot_audit(audit: Audit, out: str | Path) -> None:
    """Draw what an audit found: learnability, forest against linear model, class balance, correlation.

    Raises:
        PlotError: as `check_figure`, or no dataset could be scored.
        DumpError: the file cannot be written.
    """
    scores, found = audit.scores(), audit.summary()
    _check_scored(audit)
    metric, linear, chance = (
        METRIC[audit.problem_type],
        LINEAR[audit.problem_type],
        AT_CHANCE[audit.problem_type],
    )
    rows = "the first half of its rows" if audit.split == "half" else "its own training rows"
    title = f"What {Path(audit.source).name} has to teach"
    caption = (
        f"{len(scores):,} datasets. For each one, a random forest and {linear} were trained on {rows} "
        f"and scored on the others. Shaded: at or below {chance} a dataset teaches next to nothing (at "
        f"{TRIVIAL} or above nothing is left to learn); the two models differ by less than {MARGIN}."
    )
    panels = "ab\ncd" if audit.problem_type == "classification" else "abd"
    size = (8.5, 6.4) if audit.problem_type == "classification" else (11, 3.6)
    with drawn(out, *size, title, caption) as figure:
        axes = figure.subplot_mosaic(panels)
        low = 0.0 if audit.problem_type == "classification" else -0.5
        scores = np.clip(scores, low, 1)  # R2 has no lower end

        _histogram(axes["a"], scores[:, 0], np.linspace(low, 1, 41), f"{metric} of the random forest")
        axes["a"].axvspan(low, chance, color=LIGHT, zorder=0)
        axes["a"].set_title(
            f"How much there is to learn: {found['at_chance']:.0%} at chance, {found['trivial']:.0%} trivial"
        )

        axes["b"].fill_between([low, 1], [low - MARGIN, 1 - MARGIN], [low + MARGIN, 1 + MARGIN], color=LIGHT)
        axes["b"].plot(scores[:, 1], scores[:, 0], ".", color=BLUE, alpha=0.4, markersize=5, mew=0)
        axes["b"].set(
            xlim=(low, 1.01),
            ylim=(low, 1.01),
            xlabel=f"{metric} of {linear}",
            ylabel=f"{metric} of the random forest",
            title=f"The forest: {MARGIN} better on {found['beats_linear']:.0%}, "
            f"worse on {found['loses_to_linear']:.0%}",
        )

        if "c" in axes:
            smallest = audit.column("smallest_class")
            _histogram(axes["c"], smallest, np.linspace(0, 0.5, 26), "share of the rows")
            axes["c"].set_title("The smallest class")

        correlation = audit.column("correlation")
        _histogram(axes["d"], correlation, np.linspace(0, 1, 41), "mean |correlation| over pairs of features")
        by_chance = chance_correlation(int(np.median(audit.column("num_datapoints"))))
        axes["d"].axvline(by_chance, color=BLACK, linestyle="--", linewidth=1)
        axes["d"].annotate(
            "independent columns,\nby chance",
            (by_chance, 0.98),
            (6, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=DARK,
        )
        axes["d"].set_title("How correlated the features are")


def plot_audits(audits: Sequence[Audit], out: str | Path) -> None:
    """Draw several audits below each other: learnability, its ends, correlation.

    Raises:
        PlotError: as `check_figure`; no audits, or of both classification and regression.
        DumpError: the file cannot be written.
    """
    if len({audit.problem_type for audit in audits}) != 1:
        raise PlotError("audits to compare must be of one problem type, and there must be one at least")
    for one in audits:
        _check_scored(one)
    problem_type = audits[0].problem_type
    metric, linear, chance = METRIC[problem_type], LINEAR[problem_type], AT_CHANCE[problem_type]
    found = [audit.summary() for audit in audits]
    sizes = sorted({len(audit.scores()) for audit in audits})
    caption = (
        f"{' to '.join(f'{size:,}' for size in dict.fromkeys((sizes[0], sizes[-1])))} datasets each. "
        f"Dot: the median dataset; thick line: the middle half; thin line: from 5% to 95%. Models are "
        f"trained on one part of a dataset's rows and scored on the rest. Shaded: at or below {chance} a "
        f"dataset teaches next to nothing."
    )
    with drawn(out, 10, 1.7 + 0.42 * len(audits), "What these priors have to teach", caption) as figure:
        learn, ends, correlate = figure.subplots(1, 3, sharey=True, width_ratios=[2, 1.3, 1.3])
        places = np.arange(len(audits))
        low = -0.5 if problem_type == "regression" else 0.3
        learn.axvspan(low, chance, color=LIGHT, zorder=0)
        for shift, key, colour in ((-0.15, "forest", BLUE), (0.15, "linear", ORANGE)):
            quantiles = np.array([summary["quantiles"][key] for summary in found])
            _quantile_lines(learn, places + shift, quantiles, colour)
        title = f"Random forest (blue), {linear} (orange)"
        learn.set(xlim=(low, 1.02), xlabel=metric, title=title, yticks=places)
        learn.set_yticklabels([Path(audit.source).name for audit in audits])
        learn.invert_yaxis()

        shares = np.array([[100 * summary["at_chance"], 100 * summary["trivial"]] for summary in found])
        middle = 100 - shares.sum(axis=1)
        for width, left, colour in (
            (shares[:, 0], 0, LIGHT),
            (middle, shares[:, 0], SKY),
            (shares[:, 1], 100 - shares[:, 1], BLUE),
        ):
            ends.barh(places, width, left=left, color=colour, height=0.6)
        for place, (chance_share, trivial) in zip(places, shares, strict=True):
            ends.text(1.5, place, f"{chance_share:.0f}", va="center", color=DARK, fontsize=8)
            ends.text(98.5, place, f"{trivial:.0f}", va="center", ha="right", color="white", fontsize=8)
        ends.set(xlim=(0, 100), xlabel="% of datasets", title="At chance (grey), trivial (dark)")

        quantiles = np.array([summary["quantiles"]["correlation"] for summary in found])
        _quantile_lines(correlate, places, quantiles, GREEN)
        correlate.set(xlim=(0, 1), xlabel="mean |correlation|", title="How correlated the features are")


def _check_scored(audit: Audit) -> None:
    if not len(audit.scores()):
        raise PlotError(f"{audit.source}: no dataset could be scored, so there is nothing to draw")


def _quantile_lines(axes: "Axes", places: np.ndarray, quantiles: np.ndarray, colour: str) -> None:
    """For each place on the vertical axis its quantiles (n, LEVELS): thin 5-95%, thick 25-75%, the median."""
    at = {level: quantiles[:, i] for i, level in enumerate(LEVELS)}
    axes.hlines(places, at[0.05], at[0.95], color=colour, linewidth=1)
    axes.hlines(places, at[0.25], at[0.75], color=colour, linewidth=3.5)
    axes.plot(at[0.5], places, "o", color=colour, markersize=5.5, mec="white", mew=1)


def _histogram(axes: "Axes", values: np.ndarray, bins: Any, label: str, colour: str = BLUE) -> None:
    axes.hist(values, bins=bins, color=colour, edgecolor="white", linewidth=0.4)
    axes.set(xlabel=label, ylabel="datasets")
    axes.margins(x=0)
    _whole_counts(axes)


def _bars(axes: "Axes", values: np.ndarray, _: None, label: str, colour: str) -> None:
    """How often each whole number occurs; many different ones share bars."""
    if np.ptp(values) > 30:
        _histogram(axes, values, 26, label, colour)
        return
    numbers, counts = np.unique(values, return_counts=True)
    axes.bar(numbers, counts, color=colour, width=0.8)
    axes.set(xlabel=label, ylabel="datasets")
    axes.xaxis.get_major_locator().set_params(integer=True)
    _whole_counts(axes)


def _named_bars(axes: "Axes", values: np.ndarray, _: None, label: str, colour: str) -> None:
    """How often each name occurs, the most frequent ones on top."""
    names, counts = np.unique(values.astype(str), return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_NAMES]
    shown = [printable(name.rpartition(":")[2].replace("_", " ")) for name in names[order]]
    axes.barh(range(len(order)), counts[order], color=colour, height=0.7)
    axes.set_yticks(range(len(order)), ["\n".join(textwrap.wrap(name, 18)) for name in shown], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel(label)


def _whole_counts(axes: "Axes") -> None:
    axes.yaxis.get_major_locator().set_params(integer=True)
