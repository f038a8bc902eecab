"""The section on doses: how scores change along a setting, with bands and a test for trend.

Axis letters: D data seeds, M model seeds, T tables, K doses.
"""

from typing import NamedTuple

import numpy as np

from nanotabpfn.studies.arms import DoseSeries, dose_series
from nanotabpfn.studies.report.blocks import Block, estimate_cells, figure, metric_name, table
from nanotabpfn.studies.report.figures import dose_response
from nanotabpfn.studies.report.scores import Scores, compare_complete
from nanotabpfn.studies.statistics import Comparison, shows_difference, trend
from priors.audit.compare import holm


class Response(NamedTuple):
    """The scores of a series of doses in one metric, with the sign such that more is better."""

    series: DoseSeries
    doses: np.ndarray  # (K,)
    change: Comparison  # from the lowest to the highest dose, by the least-squares line
    of_doses: list[Comparison]  # of each dose from the mean of all
    adjusted: float  # p-value of the trend, adjusted for the number of series

    @property
    def span(self) -> str:
        """The field and its range, and the doses between its ends that have no scores."""
        low, high = self.doses[0], self.doses[-1]
        all_doses = self.series.doses.values()
        absent = [f"{dose:g}" for dose in all_doses if low < dose < high and dose not in self.doses]
        without = f", without {', '.join(absent)}" if absent else ""
        return f"{self.series.field} from {low:g} to {high:g}{without}"


def responses(scores: Scores) -> dict[str, Response]:
    """Name of the series -> its response; of each series with seeds for which at least three doses have
    scores."""
    found = {}
    for series in dose_series(scores.study):
        there = {arm: dose for arm, dose in series.doses.items() if arm in scores.of}
        if len(there) < 3:
            continue
        values = np.stack([scores.of[arm] for arm in there]) * scores.sign  # (K, D, M, T)
        doses, level = np.array(list(there.values())), scores.study.level
        change = compare_complete(trend(values, doses), level)
        if change is not None:  # both are NaN, and left out, for the same seeds
            of_doses = [compare_complete(one, level) for one in values - values.mean(axis=0)]
            found[series.name] = Response(series, doses, change, of_doses, change.p_value)
    adjusted = holm([response.change.p_value for response in found.values()])
    return {
        name: response._replace(adjusted=p)
        for (name, response), p in zip(found.items(), adjusted, strict=True)
    }


def dose_words(scores: Scores) -> list[str]:
    """A sentence on each series: whether a trend is shown, how large the change is."""
    lines = []
    for name, response in responses(scores).items():
        change = response.change
        low, high = change.interval
        is_shown = shows_difference(change, response.adjusted, scores.study.level)
        words = "a trend is shown" if is_shown else "no trend was shown"
        estimate = f"{change.mean:+.4f}" + ("" if np.isnan(low) else f" ({low:+.4f} to {high:+.4f})")
        lines.append(f"{name}, {response.span}: {words}, {estimate} from the lowest to the highest.")
    return lines


def doses(scores: Scores, second: Scores, begun: Scores, second_begun: Scores) -> list[Block]:
    """The figures and the table of all series of doses, in two metrics; nothing if the study has none.

    Args:
        begun: `scores` without trainings that had not begun; `second_begun` likewise.
    """
    found = {metric_name(one.metric): responses(one) for one in (scores, second)}
    without = {metric_name(one.metric): responses(one) for one in (begun, second_begun)}
    if not found[metric_name(scores.metric)]:
        return []
    level = f"{scores.study.level:.0%}"
    names = list(found[metric_name(scores.metric)])
    figures = [
        _figure(
            f"doses-{number}", name, {metric: of_series[name] for metric, of_series in found.items()}, level
        )
        for number, name in enumerate(names, 1)
    ]
    rows = [
        _row(name, metric, of_series[name], without[metric].get(name))
        for name in names
        for metric, of_series in found.items()
    ]
    header = [
        "series",
        "doses",
        "metric",
        "change",
        f"{level} interval",
        "p of the trend (Holm)",
        "without late trainings",
        f"{level} interval",
    ]
    caption = (
        "The change from the lowest to the highest dose by the least-squares line through the scores of "
        "each cell and table, positive where the highest is better. Tables and seeds are the units of "
        "interval and test, as for differences between arms. A dose that is a range counts with its middle."
    )
    return [*figures, table(header, rows, caption, (1, 2))]


def _figure(file: str, name: str, by_metric: dict[str, Response], level: str) -> Block:
    """The doses of a series with bands, a panel for each metric."""
    panels = {}
    for metric, response in by_metric.items():
        means = [(one.mean, one.interval) for one in response.of_doses]
        panels[metric] = response.doses, means, (response.change.mean, response.change.interval)
    caption = (
        f"{name}: difference of each dose from the mean of all, up is better, with {level} intervals "
        "over tables and seeds; the line is the least-squares line, its band the interval of the slope. "
        "Neither is adjusted for its number."
    )
    return figure(file, dose_response(panels, response.series.field), caption)


def _row(name: str, metric: str, response: Response, begun: Response | None) -> list[str]:
    """The change of a series in a metric; `begun` is that without trainings that had not begun, where it is
    over the same range."""
    of_begun = ["", ""]
    if begun and begun.span == response.span:
        of_begun = estimate_cells(begun.change.mean, begun.change.interval)
    elif begun:
        of_begun = [f"only {begun.span} is left", ""]
    return [
        name,
        response.span,
        metric,
        *estimate_cells(response.change.mean, response.change.interval),
        f"{response.adjusted:.2g}",
        *of_begun,
    ]
