"""The section on real tables: means, learning curves, differences from the reference, ranks, each table."""

import numpy as np

from nanotabpfn.studies.report.blocks import Block, figure, metric_name, plain, table, three_digits
from nanotabpfn.studies.report.figures import (
    critical_differences,
    intervals,
    learning_curves,
    table_differences,
)
from nanotabpfn.studies.report.scores import LEARNS_NOTHING, Scores
from nanotabpfn.studies.statistics import (
    average_ranks,
    bayesian_signed_rank,
    bootstrap_interval,
    shows_difference,
)
from priors.audit.compare import holm


def real_tables(scores: Scores) -> list[Block]:
    """What each arm and baseline reached on the tables of the first suite."""
    return [
        _means(scores),
        *_curves(scores),
        *_comparisons(scores),
        *_ranks(scores),
        *_differences_by_table(scores),
        _scores_by_table(scores),
    ]


def _from_best(scores: Scores) -> list[str]:
    """The arms, the best first."""
    return sorted(scores.arms, key=lambda arm: -scores.sign * scores.table_means(arm).mean())


def _means(scores: Scores) -> Block:
    name, level = metric_name(scores.study.metric), scores.study.level
    rows = []
    for arm in _from_best(scores):
        means = scores.table_means(arm)
        low, high = bootstrap_interval(means, level)
        cells = scores.of[arm].mean(axis=2)  # (D, M)
        spread = f"{np.nanmin(cells):.3f} to {np.nanmax(cells):.3f}"
        num_cells = str(int(np.isfinite(cells).sum()))
        rows.append([arm, three_digits(means.mean()), f"{low:.3f} to {high:.3f}", spread, num_cells])
    for baseline, values in scores.baselines.items():
        low, high = bootstrap_interval(values, level)
        rows.append([plain(baseline), three_digits(values.mean()), f"{low:.3f} to {high:.3f}", "", ""])
    return table(
        ["arm", name, f"{level:.0%} interval, tables as units", "lowest to highest cell", "cells"],
        rows,
        f"{name}, mean over the tables of the suite {scores.suite}. Scores are averaged over seeds first; "
        "the interval is a bootstrap over tables. Tables differ more than arms do, so these intervals "
        "overlap even where the paired differences below are clear.",
    )


def _curves(scores: Scores) -> list[Block]:
    study, curves = scores.study, {}
    for arm in scores.arms:
        of_cells = scores.curve(arm)
        if np.isfinite(of_cells).any(axis=0).all():
            curves[arm] = tuple(f(of_cells, axis=0) for f in (np.nanmean, np.nanmin, np.nanmax))
    if not curves:
        return []
    controls = [arm for arm in curves if scores.roles[arm] == "control"]
    baselines = {name: float(values.mean()) for name, values in scores.baselines.items()}
    name = metric_name(study.metric)
    svg = learning_curves(study.eval_steps, curves, controls, baselines, name)
    caption = (
        f"{name} on the suite {scores.suite} against training steps, mean over tables and seeds; the bands "
        "reach from the lowest to the highest cell. Controls are grey, baselines dotted."
    )
    return [figure("curves", svg, caption)]


def _comparisons(scores: Scores) -> list[Block]:
    """The paired differences from the reference, as a figure and as a table."""
    if not scores.comparisons:
        return []
    return [*_intervals(scores), _tests(scores)]


def _intervals(scores: Scores) -> list[Block]:
    study = scores.study
    shown = {
        arm: (found.mean, found.interval)
        for arm, (found, _) in scores.comparisons.items()
        if arm not in LEARNS_NOTHING
    }
    if not shown:
        return []
    svg = intervals(shown, study.rope, f"{metric_name(study.metric)}, arm minus {scores.reference}")
    caption = (
        f"Differences from {scores.reference} with their {study.level:.0%} intervals over tables and seeds, "
        "not adjusted for their number; grey ones include zero. Differences within the grey band, "
        f"{study.rope:g} to either side, do not matter."
    )
    return [figure("differences", svg, caption)]


def _tests(scores: Scores) -> Block:
    study, level = scores.study, f"{scores.study.level:.0%}"
    wilcoxon = {
        arm: found.wilcoxon for arm, (found, _) in scores.comparisons.items() if scores.roles[arm] == "arm"
    }
    adjusted_wilcoxon = dict(zip(wilcoxon, holm(list(wilcoxon.values())), strict=True))
    rows = []
    for arm, (found, adjusted) in scores.comparisons.items():
        worse, neither, better = bayesian_signed_rank(found.tables, study.rope)
        rows.append(
            [
                arm,
                f"{found.mean:+.4f}",
                f"{found.interval[0]:+.4f} to {found.interval[1]:+.4f}",
                f"{adjusted:.2g}",
                "yes" if shows_difference(found, adjusted, study.level) else "no",
                f"{found.bootstrap[0]:+.4f} to {found.bootstrap[1]:+.4f}",
                f"{adjusted_wilcoxon.get(arm, found.wilcoxon):.2g}",
                f"{found.wins}, {found.losses}",
                f"{worse:.2f} / {neither:.2f} / {better:.2f}",
            ]
        )
    header = [
        "arm",
        "difference",
        f"{level} interval, tables and seeds",
        "p (Holm)",
        "shown",
        f"{level} bootstrap, tables alone",
        "Wilcoxon p (Holm)",
        "tables won, lost",
        "worse / same / better",
    ]
    turned = " The sign is such that more is better." if scores.sign < 0 else ""
    caption = (
        f"Each arm minus {scores.reference}, paired by table and seeds.{turned} The first interval and its p "
        "are about the priors: other seeds, other tables. Bootstrap, Wilcoxon's signed ranks and the last "
        "column have tables alone as units, and are about these trained models. The last column holds the "
        f"probabilities of the Bayesian signed-rank test that {scores.reference} is better by {study.rope:g} "
        "or more, that neither is, and that the arm is."
    )
    return table(header, rows, caption)


def _ranks(scores: Scores) -> list[Block]:
    level = scores.study.level
    ranked = {arm: scores.table_means(arm) * scores.sign for arm in _from_best(scores)}
    ranked = {arm: means for arm, means in ranked.items() if arm not in LEARNS_NOTHING}
    if len(ranked) < 2 or len(scores.tables) < 2:
        return []
    found = average_ranks(np.stack(list(ranked.values())), level)
    ranks = dict(zip(ranked, found.means.tolist(), strict=True))
    shows = "shows" if found.friedman < 1 - level else "does not show"
    caption = (
        "Average ranks over tables, seeds averaged first; a bar joins arms between which Nemenyi's test "
        f"finds no difference. Friedman's test {shows} that the arms differ at all (p = "
        f"{found.friedman:.2g}). Only tables are units here, so this holds for these trained models, not for "
        "their priors in general."
    )
    return [figure("ranks", critical_differences(ranks, found.critical_difference), caption)]


def _differences_by_table(scores: Scores) -> list[Block]:
    shown = {arm: found.tables for arm, (found, _) in scores.comparisons.items() if arm not in LEARNS_NOTHING}
    if not shown:
        return []
    label = f"{metric_name(scores.study.metric)}, arm minus {scores.reference}"
    turned = ", with the sign such that right is better." if scores.sign < 0 else "."
    caption = f"Table by table: each arm minus {scores.reference}, mean over seeds{turned}"
    return [figure("tables", table_differences(scores.tables, shown, label), caption)]


def _scores_by_table(scores: Scores) -> Block:
    columns = {arm: scores.table_means(arm) for arm in _from_best(scores)} | {
        plain(baseline): values for baseline, values in scores.baselines.items()
    }
    rows = [
        [name, *(three_digits(values[i]) for values in columns.values())]
        for i, name in enumerate(scores.tables)
    ]
    caption = f"{metric_name(scores.study.metric)} of every table, mean over seeds."
    return table(["table", *columns], rows, caption)
