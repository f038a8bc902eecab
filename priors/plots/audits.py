"""Figures of audits: one in detail, several below each other."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from priors.audit.audit import AT_CHANCE, MARGIN, TRIVIAL, Audit
from priors.audit.measure import LINEAR, METRIC, chance_correlation
from priors.plots.panels import histogram, quantile_lines
from priors.plots.style import BLACK, BLUE, DARK, GREEN, LIGHT, ORANGE, SKY, PlotError, drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_audit(audit: Audit, out: str | Path | None = None) -> "Figure":
    """Draw what an audit found: learnability, forest against linear model, class balance, correlation.

    Raises:
        PlotError: as `check_figure`, or no dataset could be scored.
        DumpError: the file cannot be written.

    Examples:
        >>> from priors import PRESETS, audit_prior
        >>> figure = plot_audit(audit_prior(PRESETS["linear"], "linear", num_datasets=1))
        >>> len(figure.axes)
        4
    """
    _check_scored(audit)
    is_classification = audit.problem_type == "classification"
    rows = "the first half of its rows" if audit.split == "half" else "its own training rows"
    title = f"What {Path(audit.source).name} has to teach"
    caption = (
        f"{len(audit.scores()):,} datasets. For each one, a random forest and {LINEAR[audit.problem_type]} "
        f"were trained on {rows} and scored on the others. Shaded: at or below "
        f"{AT_CHANCE[audit.problem_type]} a dataset teaches next to nothing (at {TRIVIAL} or above nothing "
        f"is left to learn); the two models differ by less than {MARGIN}."
    )
    panels, size = ("ab\ncd", (8.5, 6.4)) if is_classification else ("abd", (11, 3.6))
    with drawn(out, *size, title, caption) as figure:
        axes = figure.subplot_mosaic(panels)
        _learnability(axes["a"], audit)
        _forest_against_linear(axes["b"], audit)
        if is_classification:
            smallest = audit.column("smallest_class")
            histogram(axes["c"], smallest, np.linspace(0, 0.5, 26), "share of the rows")
            axes["c"].set_title("The smallest class")
        _correlation(axes["d"], audit)
    return figure


def _lowest(problem_type: str) -> float:
    """Where the axis of the scores begins: R2 has no lower end."""
    return 0.0 if problem_type == "classification" else -0.5


def _learnability(axes: "Axes", audit: Audit) -> None:
    low, found = _lowest(audit.problem_type), audit.summary()
    scores = np.clip(audit.scores()[:, 0], low, 1)
    histogram(axes, scores, np.linspace(low, 1, 41), f"{METRIC[audit.problem_type]} of the random forest")
    axes.axvspan(low, AT_CHANCE[audit.problem_type], color=LIGHT, zorder=0)
    axes.set_title(
        f"How much there is to learn: {found['at_chance']:.0%} at chance, {found['trivial']:.0%} trivial"
    )


def _forest_against_linear(axes: "Axes", audit: Audit) -> None:
    low, found = _lowest(audit.problem_type), audit.summary()
    metric, linear = METRIC[audit.problem_type], LINEAR[audit.problem_type]
    scores = np.clip(audit.scores(), low, 1)
    axes.fill_between([low, 1], [low - MARGIN, 1 - MARGIN], [low + MARGIN, 1 + MARGIN], color=LIGHT)
    axes.plot(scores[:, 1], scores[:, 0], ".", color=BLUE, alpha=0.4, markersize=5, mew=0)
    axes.set(
        xlim=(low, 1.01),
        ylim=(low, 1.01),
        xlabel=f"{metric} of {linear}",
        ylabel=f"{metric} of the random forest",
        title=f"The forest: {MARGIN} better on {found['beats_linear']:.0%}, "
        f"worse on {found['loses_to_linear']:.0%}",
    )


def _correlation(axes: "Axes", audit: Audit) -> None:
    label = "mean |correlation| over pairs of features"
    histogram(axes, audit.column("correlation"), np.linspace(0, 1, 41), label)
    by_chance = chance_correlation(int(np.median(audit.column("num_datapoints"))))
    axes.axvline(by_chance, color=BLACK, linestyle="--", linewidth=1)
    axes.set_ylim(top=1.3 * axes.get_ylim()[1])  # room for the words above the bars
    axes.annotate(
        "independent columns,\nby chance",
        (by_chance, 0.98),
        (6, 0),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=DARK,
    )
    axes.set_title("How correlated the features are")


def plot_audits(audits: Sequence[Audit], out: str | Path | None = None) -> "Figure":
    """Draw several audits below each other: learnability, shares at chance and trivial, correlation.

    Raises:
        PlotError: as `check_figure`; no audits, or of both classification and regression.
        DumpError: the file cannot be written.

    Examples:
        >>> from priors import PRESETS, audit_prior
        >>> figure = plot_audits([audit_prior(PRESETS["linear"], "linear", num_datasets=1)])
        >>> len(figure.axes)
        3
    """
    if len({audit.problem_type for audit in audits}) != 1:
        raise PlotError("audits to compare must be of one problem type, and there must be one at least")
    for one in audits:
        _check_scored(one)
    sizes = sorted({len(audit.scores()) for audit in audits})
    caption = (
        f"{' to '.join(f'{size:,}' for size in dict.fromkeys((sizes[0], sizes[-1])))} datasets each. "
        f"Dot: the median dataset; thick line: the middle half; thin line: from 5% to 95%. Models are "
        f"trained on one part of a dataset's rows and scored on the rest. Shaded: at or below "
        f"{AT_CHANCE[audits[0].problem_type]} a dataset teaches next to nothing."
    )
    found = [audit.summary() for audit in audits]
    with drawn(out, 10, 1.7 + 0.42 * len(audits), "What these priors have to teach", caption) as figure:
        learn, ends, correlate = figure.subplots(1, 3, sharey=True, width_ratios=[2, 1.3, 1.3])
        _compare_learnability(learn, audits, found)
        _compare_ends(ends, found)
        quantiles = np.array([summary["quantiles"]["correlation"] for summary in found])
        quantile_lines(correlate, np.arange(len(audits)), quantiles, GREEN)
        correlate.set(xlim=(0, 1), xlabel="mean |correlation|", title="How correlated the features are")
    return figure


def _check_scored(audit: Audit) -> None:
    if not len(audit.scores()):
        raise PlotError(f"{audit.source}: no dataset could be scored, so there is nothing to draw")


def _compare_learnability(axes: "Axes", audits: Sequence[Audit], found: list[dict[str, Any]]) -> None:
    problem_type = audits[0].problem_type
    places = np.arange(len(audits))
    low = -0.5 if problem_type == "regression" else 0.3
    axes.axvspan(low, AT_CHANCE[problem_type], color=LIGHT, zorder=0)
    for shift, key, colour in ((-0.15, "forest", BLUE), (0.15, "linear", ORANGE)):
        quantiles = np.array([summary["quantiles"][key] for summary in found])
        quantile_lines(axes, places + shift, quantiles, colour)
    title = f"Random forest (blue), {LINEAR[problem_type]} (orange)"
    axes.set(xlim=(low, 1.02), xlabel=METRIC[problem_type], title=title, yticks=places)
    axes.set_yticklabels([textwrap.fill(Path(audit.source).name, 30) for audit in audits])
    axes.invert_yaxis()


def _compare_ends(axes: "Axes", found: list[dict[str, Any]]) -> None:
    """The shares of datasets at chance and trivial, as the two ends of one bar."""
    places = np.arange(len(found))
    shares = np.array([[100 * summary["at_chance"], 100 * summary["trivial"]] for summary in found])
    middle = 100 - shares.sum(axis=1)
    for width, left, colour in (
        (shares[:, 0], 0, LIGHT),
        (middle, shares[:, 0], SKY),
        (shares[:, 1], 100 - shares[:, 1], BLUE),
    ):
        axes.barh(places, width, left=left, color=colour, height=0.6)
    for place, (chance, trivial) in zip(places, shares, strict=True):
        axes.text(-2, place, f"{chance:.0f}", va="center", ha="right", color=DARK, fontsize=8)
        axes.text(102, place, f"{trivial:.0f}", va="center", color=DARK, fontsize=8)
    axes.set(
        xlim=(-14, 114),
        xticks=[0, 25, 50, 75, 100],
        xlabel="% of datasets",
        title="At chance (grey), trivial (dark)",
    )
