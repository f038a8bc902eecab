"""The figures of a report: each is a function of arrays and names, and returns a `Picture`.

Axis letters: A arms, S steps, T tables.
"""

import warnings
from collections.abc import Collection, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np

from nanotabpfn.studies.spec import StudyError
from priors.plots.graphs import draw_graph
from priors.plots.style import BLUE, CLASS_COLOURS, RED, family_label
from priors.sampling.structure import Structure

COLOURS = [BLUE, RED]
"""Of arms that are better and worse, or of what is shown and its reference."""
DASHES = [(4, 2), (1, 2), (6, 2, 1, 2), (9, 2), (2, 1), (6, 2, 1, 2, 1, 2)]  # of grey lines
GREY = "#888888"
MAX_NAME = 40  # of an arm in a figure; tables have the whole name
MAX_EFFECT = 80  # characters of a setting and its change, on two lines
WIDEST = 3  # usual half widths of an interval that an axis reaches beyond the means
MAX_LABEL = 120  # of an axis, with the name of an arm in it


class Picture(NamedTuple):
    """A figure for a web page and for a paper."""

    svg: str
    pdf: bytes


def learning_curves(
    steps: Sequence[int],
    curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]],
    reference: str,
    levels: dict[str, float],
    label: str,
) -> Picture:
    """The metric against training steps, a panel for each arm, with the reference in all of them.

    The axis spans the means and the levels near them, so that means can be compared; bands may leave it. With
    one arm alone it spans all levels.

    Args:
        curves: name -> mean over tables and seeds, lowest and highest seed, (S,) each: the band shows every
            seed.
        reference: the arm of `curves` that is drawn in black in every panel.
        levels: name -> score of what has no training steps, a grey line if the axis has it.
    """
    names = [name for name in curves if name != reference] or [reference]
    columns = min(len(names), 4)
    rows = -(-len(names) // columns)
    figure, panels = _figure(8.2, 0.9 + 1.75 * rows, columns, rows)
    near, limits = _levels_and_limits(curves, levels)
    for axes in np.atleast_1d(panels).flat[len(names) :]:
        axes.axis("off")
    handles: dict[str, Any] = {}
    for place, (axes, name) in enumerate(zip(np.atleast_1d(panels).flat, names, strict=False)):
        for number, (level, value) in enumerate(near.items()):
            line = axes.axhline(value, color=GREY, dashes=DASHES[number % len(DASHES)], linewidth=0.9)
            handles[_short(level.replace("_", " "))] = line
        mean, lowest, highest = curves[name]
        axes.fill_between(steps, lowest, highest, color=COLOURS[0], alpha=0.2, linewidth=0)
        [handles[f"reference: {_short(reference)}"]] = axes.plot(
            steps, curves[reference][0], color="black", linewidth=1
        )
        [handles["the panel's arm, lowest to highest seed"]] = axes.plot(
            steps, mean, color=COLOURS[0], marker="o", markersize=3, linewidth=1.6
        )
        axes.set_title(_wrapped(name), fontsize=8)
        axes.set(ylim=limits)
        axes.set_xticks(steps if len(steps) < 5 else [steps[0], steps[len(steps) // 2], steps[-1]])
        if place % columns:
            axes.tick_params(labelleft=False)
        if place + columns >= len(names):
            axes.set_xlabel("training step", fontsize=8)
    figure.supylabel(label, fontsize=9)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, fontsize=8,
                  frameon=False)  # fmt: skip
    return _picture(figure)


def _levels_and_limits(
    curves: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]], levels: dict[str, float]
) -> tuple[dict[str, float], tuple[float, float]]:
    """The levels that `learning_curves` draws, and the limits of its axis."""
    means = np.concatenate([mean for mean, _, _ in curves.values()])
    span = np.ptp(means)
    near = {
        name: value
        for name, value in levels.items()
        if len(curves) == 1 or means.min() - span <= value <= means.max() + span
    }
    low, high = min([means.min(), *near.values()]), max([means.max(), *near.values()])
    margin = 0.08 * (high - low) or 0.01
    return near, (low - margin, high + margin)


def critical_differences(ranks: dict[str, float], critical_difference: float) -> Picture:
    """Average ranks on a line, the best at the left. A bar joins arms between which Nemenyi's test finds no
    difference (after Demsar, JMLR 2006)."""
    names = sorted(ranks, key=ranks.__getitem__)
    values = np.array([ranks[name] for name in names])
    groups: list[tuple[int, int]] = []
    for first in range(len(names)):
        last = int(np.flatnonzero(values <= values[first] + critical_difference)[-1])
        if last > first and not any(last <= other for _, other in groups):
            groups.append((first, last))
    half = (len(names) + 1) // 2
    figure, axes = _figure(8.2, 1.1 + 0.26 * (half + len(groups)))
    axes.axis("off")
    low, high = 1, max(len(names), 2)
    width = high - low
    axes.set(xlim=(low - 0.45 * width, high + 0.45 * width), ylim=(-0.6 - half - 0.5 * len(groups), 1.6))
    axes.plot([low, high], [0, 0], color="black", linewidth=1, clip_on=False)
    for tick in range(low, high + 1):
        axes.plot([tick, tick], [0, 0.15], color="black", linewidth=1)
        axes.text(tick, 0.25, str(tick), ha="center", va="bottom")
    shown = min(critical_difference, width)
    axes.plot([low, low + shown], [1.25, 1.25], color=GREY, linewidth=3, solid_capstyle="butt")
    cd = f"critical difference {critical_difference:.2f}"
    axes.text(low + shown + 0.02 * width, 1.25, cd, color=GREY, va="center")
    below = 0.5 * len(groups)
    for i, (name, value) in enumerate(zip(names, values, strict=True)):
        is_left = i < half
        height = -0.5 - below - (i if is_left else len(names) - 1 - i)
        side = low - 0.04 * width if is_left else high + 0.04 * width
        axes.plot([value, value, side], [0, height, height], color="black", linewidth=0.8)
        text = f"{_short(name)}  {value:.2f}" if is_left else f"{value:.2f}  {_short(name)}"
        axes.text(side + (-1 if is_left else 1) * 0.01 * width, height, text,
                  ha="right" if is_left else "left", va="center")  # fmt: skip
    for i, (first, last) in enumerate(groups):
        ends = values[first] - 0.015 * width, values[last] + 0.015 * width
        axes.plot(ends, [-0.3 - 0.5 * i] * 2, color="black", linewidth=3.5, solid_capstyle="butt")
    return _picture(figure)


def intervals(
    panels: dict[str, tuple[dict[str, tuple[float, tuple[float, float]]], float]], label: str
) -> Picture:
    """Differences from the reference with their intervals, and a grey band of those that do not matter.

    Args:
        panels: name of the metric -> differences of the same arms, each with its interval, and the rope.
    """
    num_rows = len(next(iter(panels.values()))[0])
    figure, axes_of = _figure(8.2, 1.1 + 0.32 * num_rows, len(panels))
    for axes, (metric, (rows, rope)) in zip(np.atleast_1d(axes_of), panels.items(), strict=True):
        axes.axvspan(-rope, rope, color="#eeeeee", linewidth=0)
        axes.axvline(0, color="black", linewidth=0.8)
        for i, (mean, (low, high)) in enumerate(rows.values()):
            colour = GREY if low <= 0 <= high else COLOURS[0 if mean > 0 else 1]
            axes.plot([low, high], [i, i], color=colour, linewidth=2)
            axes.plot(mean, i, "o", color=colour)
        is_first = axes is np.atleast_1d(axes_of)[0]
        axes.set_yticks(range(len(rows)), [_short(name) if is_first else "" for name in rows])
        axes.set(ylim=(len(rows) - 0.5, -0.5))
        axes.set_title(metric, fontsize=9)
        axes.locator_params(axis="x", nbins=5)
    figure.supxlabel(_wrapped(label, 80, MAX_LABEL), fontsize=9)
    return _picture(figure)


def effect_intervals(
    panels: dict[str, tuple[dict[str, tuple[float, tuple[float, float], bool]], float]],
) -> Picture:
    """Main effects with their intervals, a filled mark for those that are shown, a grey band of those that
    do not matter. It does not depend on colours.

    Args:
        panels: name of the metric -> (the same effects by name, each with its interval and whether it is
            shown; the rope).
    """
    names = list(next(iter(panels.values()))[0])
    labels = [_wrapped(name, MAX_EFFECT // 2, MAX_EFFECT) for name in names]
    height = 0.4 if any("\n" in label for label in labels) else 0.3
    figure, axes_of = _figure(8.2, 0.9 + height * len(names), len(panels))
    for number, (axes, (metric, (rows, rope))) in enumerate(
        zip(np.atleast_1d(axes_of), panels.items(), strict=True)
    ):
        axes.axvspan(-rope, rope, color="#eeeeee", linewidth=0)
        axes.axvline(0, color="black", linewidth=0.8)
        low, high = _effect_limits([(mean, interval) for mean, interval, _ in rows.values()], rope)
        axes.set_xlim(low, high)
        for i, (mean, interval, is_shown) in enumerate(rows.values()):
            colour = "black" if is_shown else GREY
            axes.plot(interval, [i, i], color=colour, linewidth=2)
            ends = [(low, "<")] * (interval[0] < low) + [(high, ">")] * (interval[1] > high)
            for end, marker in ends:
                axes.plot(end, i, marker, color=colour, markersize=5, clip_on=False)
            axes.plot(mean, i, "o", color="black", markerfacecolor="black" if is_shown else "white")
        axes.set_yticks(range(len(names)), labels if not number else [])
        axes.set(ylim=(len(names) - 0.5, -0.5))
        axes.set_title(metric, fontsize=9)
        axes.locator_params(axis="x", nbins=5)
    figure.supxlabel("change of the score, right is better", fontsize=9)
    return _picture(figure)


def _effect_limits(effects: list[tuple[float, tuple[float, float]]], rope: float) -> tuple[float, float]:
    """The ends of the axis: all means and the usual interval are within, and an interval many times as wide
    as the others does not make these points."""
    means = [mean for mean, _ in effects]
    # With one table and one seed there are none.
    intervals = [interval for _, interval in effects if np.isfinite(interval).all()]
    beyond = WIDEST * float(np.median([(high - low) / 2 for low, high in intervals] or [0.0]))
    low = max(min([*means, *(low for low, _ in intervals)]), min(means) - beyond)
    high = min(max([*means, *(high for _, high in intervals)]), max(means) + beyond)
    margin = 0.05 * (high - low)
    return min(low - margin, -1.2 * rope), max(high + margin, 1.2 * rope)


def dose_response(
    panels: dict[
        str, tuple[np.ndarray, list[tuple[float, tuple[float, float]]], tuple[float, tuple[float, float]]]
    ],
    field: str,
) -> Picture:
    """Differences of each dose from the mean of all doses, and the line of the trend with its band.

    Args:
        panels: name of the metric -> the doses, the difference of each with its interval, and the change
        from the
            first to the last by the line, with its interval.
        field: the setting that the doses are of.
    """
    figure, axes_of = _figure(8.2, 3.2, len(panels))
    for axes, (metric, (doses, differences, (change, ends))) in zip(
        np.atleast_1d(axes_of), panels.items(), strict=True
    ):
        along = (doses - doses.mean()) / np.ptp(doses)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.fill_between(doses, along * ends[0], along * ends[1], color=COLOURS[0], alpha=0.15, linewidth=0)
        axes.plot(doses, along * change, color=COLOURS[0], linewidth=1.6)
        for dose, (mean, interval) in zip(doses, differences, strict=True):
            axes.plot([dose, dose], interval, color="black", linewidth=1)
            axes.plot(dose, mean, "o", color="black", markersize=4)
        axes.set_title(metric, fontsize=9)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(_wrapped(field, 40), fontsize=9)
    np.atleast_1d(axes_of)[0].set_ylabel("from the mean of all doses, up is better", fontsize=8)
    return _picture(figure)


def table_differences(tables: Sequence[str], differences: dict[str, np.ndarray], label: str) -> Picture:
    """The difference from the reference on every table, a column of panels for each arm."""
    figure, panels = _figure(1.7 + 1.9 * len(differences), 0.9 + 0.22 * len(tables), len(differences))
    panels = np.atleast_1d(panels)
    limit = 1.08 * max(np.abs(values).max() for values in differences.values()) or 1.0
    for axes, (name, values) in zip(panels, differences.items(), strict=True):
        places = np.arange(len(tables))
        colours = [COLOURS[0] if value > 0 else COLOURS[1] for value in values]
        axes.barh(places, values, color=colours, height=0.7)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_yticks(places, [_short(name) if axes is panels[0] else "" for name in tables])
        axes.set(xlim=(-limit, limit), ylim=(len(tables) - 0.4, -0.6))
        axes.set_title(_wrapped(name), fontsize=8)
        axes.locator_params(axis="x", nbins=3)
    figure.supxlabel(_wrapped(label, 60, MAX_LABEL), fontsize=8)
    return _picture(figure)


def heat_map(
    rows: Sequence[str], columns: Sequence[str], values: np.ndarray, sign: int, label: str
) -> Picture:
    """Scores (rows, columns) of models on priors; the colour shows the distance to the best of the column.

    Args:
        sign: 1 where more is better, else -1.
    """
    figure, axes = _figure(3.4 + 0.8 * len(columns), 1.6 + 0.36 * len(rows))
    best = np.nanmax(sign * values, axis=0)
    behind = sign * values - best  # 0 and below
    image = axes.imshow(behind, cmap="cividis", aspect="auto")
    dark = behind < np.nanmin(behind) / 2
    for i in range(len(rows)):
        for j in range(len(columns)):
            if np.isfinite(values[i, j]):
                colour = "white" if dark[i, j] else "black"
                weight = "bold" if behind[i, j] == 0 else "normal"
                axes.text(j, i, f"{values[i, j]:.3f}", ha="center", va="center", color=colour,
                          fontsize=8, weight=weight)  # fmt: skip
    axes.set_xticks(range(len(columns)), [_wrapped(name, 14) for name in columns], rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), [_short(name) for name in rows])
    axes.set(xlabel="held-out datasets of", ylabel="trained on")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, label=_wrapped(_wrapped(label, 60), 60), shrink=0.9)
    return _picture(figure)


def scatter(
    properties: dict[str, dict[str, float]],
    scores: dict[str, float],
    real: dict[str, float],
    label: str,
    drawn: Collection[str] = (),
) -> Picture:
    """A panel for each property: its value in each prior against the score of the models trained on it.

    Args:
        properties: label of the property -> arm -> its value.
        scores: arm -> score.
        real: label of the property -> its value in real tables, a dotted line.
        drawn: the arms that have grey marks without numbers: those of random designs.
    """
    columns = min(len(properties), 5)
    rows = -(-len(properties) // columns)
    named = [name for name in scores if name not in drawn]
    numbers = {name: str(number) for number, name in enumerate(named, 1)}
    figure, panels = _figure(1.9 * columns, 2.0 * rows + 0.2 * -(-(len(named) + 1) // 3), columns, rows)
    for axes in np.atleast_1d(panels).flat[len(properties) :]:
        axes.axis("off")
    handles: dict[str, Any] = {}
    for axes, (name, values) in zip(np.atleast_1d(panels).flat, properties.items(), strict=False):
        if np.isfinite(real.get(name, np.nan)):
            axes.axvline(real[name], color=GREY, linestyle=":", linewidth=1)
        for arm, score in scores.items():
            if not np.isfinite(values.get(arm, np.nan)):
                continue
            if arm in drawn:
                [handles["arms drawn at random"]] = axes.plot(values[arm], score, "o", color=GREY, ms=3)
            else:
                [handles[f"{numbers[arm]}  {_short(arm)}"]] = axes.plot(
                    values[arm], score, "o", color=COLOURS[0], ms=4
                )
                axes.annotate(
                    numbers[arm], (values[arm], score), xytext=(3, 2), textcoords="offset points", fontsize=7
                )
        axes.margins(0.2)
        axes.locator_params(nbins=4)
        axes.set_xlabel(_wrapped(name, 20), fontsize=8)
        if axes.get_subplotspec().colspan.start > 0:
            axes.tick_params(labelleft=False)
    figure.supylabel(label, fontsize=9)
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, fontsize=8,
                  frameon=False)  # fmt: skip
    return _picture(figure)


def gallery(structures: Sequence[Structure], datasets: Sequence[tuple[np.ndarray, np.ndarray]]) -> Picture:
    """Causal graphs, with the names of their families, above two features of some datasets (x, y)."""
    columns, width, height = max(len(structures), len(datasets)), 2.05, 1.9
    figure, panels = _figure(
        width * columns, height * (2 if structures else 1), columns, 2 if structures else 1
    )
    panels = np.atleast_2d(panels)
    for axes in panels.flat:
        axes.set(xticks=[], yticks=[])
    for axes, structure in zip(panels[0] if structures else [], structures, strict=False):
        draw_graph(axes, structure, width, height)
        axes.set_title(_wrapped(family_label(structure.family), 30), fontsize=8)
    for axes, (x, y) in zip(panels[-1], datasets, strict=False):
        first, second = (0, 1) if x.shape[1] > 1 else (0, 0)
        colours = [CLASS_COLOURS[int(label) % len(CLASS_COLOURS)] for label in y]
        axes.scatter(np.clip(x[:, first], -4, 4), np.clip(x[:, second], -4, 4), c=colours, s=5, linewidths=0)
    return _picture(figure)


# ---------------------------------------------------------------------------------------------- drawing


def _figure(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise StudyError('figures need matplotlib: pip install "nanotabpfn-priors[studies]"') from error
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns)
    for one in np.atleast_1d(axes).flat:
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(labelsize=8)
    return figure, axes


def _picture(figure: Any) -> Picture:
    import matplotlib as mpl
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)
    # Text is text in both files, not curves, and names are never markup: `$` is a dollar sign.
    settings = {
        "svg.fonttype": "none", "svg.hashsalt": "study", "pdf.fonttype": 42, "text.parse_math": False
    }  # fmt: skip
    nothing = {
        "svg": dict.fromkeys(["Creator", "Date", "Format", "Type"]),
        "pdf": dict.fromkeys(["Creator", "CreationDate", "Producer"]),
    }
    files = {ending: BytesIO() for ending in nothing}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # In the SVG the reader's fonts are used, which have it; in the PDF it is an empty box.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        for ending, metadata in nothing.items():
            figure.savefig(files[ending], format=ending, metadata=metadata)
    return Picture(files["svg"].getvalue().decode(), files["pdf"].getvalue())


def _short(name: str, longest: int = MAX_NAME) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def _wrapped(name: str, width: int = 22, longest: int = MAX_NAME) -> str:
    lines = [""]
    for word in (part[:width] for part in _short(name, longest).split()):
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)
