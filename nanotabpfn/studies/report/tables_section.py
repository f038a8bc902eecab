"""The section on real tables: means, learning curves, differences from the reference, ranks, each table."""

import numpy as np

from nanotabpfn.studies.report.blocks import (
    Block,
    estimate_cells,
    figure,
    metric_name,
    plain,
    table,
    text,
    three_digits,
)
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


def real_tables(scores: Scores, second: Scores) -> list[Block]:
    """What each arm and baseline reached on the tables of the first suite.

    Args:
        second: in the metric that is reported in addition to the first.
    """
    return [
        _means(scores, second),
        *_curves(scores),
        *_comparisons(scores, second),
        *_ranks(scores),
        *_differences_by_table(scores),
        _scores_by_table(scores),
    ]


def _from_best(scores: Scores) -> list[str]:
    """The arms, the best first."""
    return sorted(scores.arms, key=lambda arm: -scores.sign * scores.table_means(arm).mean())


def _means(scores: Scores, second: Scores) -> Block:
    name, level = metric_name(scores.metric), scores.study.level
    rows = []
    for arm in _from_best(scores):
        cells = scores.of[arm].mean(axis=2)  # (D, M)
        spread = f"{np.nanmin(cells):.3f} to {np.nanmax(cells):.3f}"
        means = [one.table_means(arm) for one in (scores, second)]
        rows.append([arm, *_with_intervals(means, level), spread, str(int(np.isfinite(cells).sum()))])
    for baseline in scores.baselines:
        means = [one.baselines[baseline] for one in (scores, second)]
        rows.append([plain(baseline), *_with_intervals(means, level), "", ""])
    header = ["arm"]
    for metric in (name, metric_name(second.metric)):
        header += [metric, f"{level:.0%} interval, tables as units"]
    return table(
        [*header, f"lowest to highest cell, {name}", "cells"],
        rows,
        f"Means over the tables of the suite {scores.suite}. Scores are averaged over seeds first; "
        "the interval is a bootstrap over tables. Tables differ more than arms do, so these intervals "
        "overlap even where the paired differences below are clear.",
    )


def _with_intervals(means: list[np.ndarray], level: float) -> list[str]:
    """The mean of each of several (T,), each with its bootstrap interval."""
    cells = []
    for values in means:
        low, high = bootstrap_interval(values, level)
        cells += [three_digits(values.mean()), "" if np.isnan(low) else f"{low:.3f} to {high:.3f}"]
    return cells


def _curves(scores: Scores) -> list[Block]:
    study, curves = scores.study, {}
    for arm in scores.single_arms:
        of_cells = scores.curve(arm)
        if np.isfinite(of_cells).any(axis=0).all():
            curves[arm] = tuple(f(of_cells, axis=0) for f in (np.nanmean, np.nanmin, np.nanmax))
    if not curves:
        return []
    levels = {arm: float(curves.pop(arm)[0][-1]) for arm in LEARNS_NOTHING if arm in curves}
    if not curves:
        return []
    reference = scores.reference if scores.reference in curves else next(iter(curves))
    levels |= {name: float(values.mean()) for name, values in scores.baselines.items()}
    name = metric_name(scores.metric)
    picture = learning_curves(study.eval_steps, curves, reference, levels, name)
    caption = (
        f"{name} on the suite {scores.suite} against training steps, mean over tables and seeds, a panel for "
        "each arm; the band reaches from the lowest to the highest seed. The axis spans the means: bands may "
        "leave it. Grey lines are the baselines, and controls that learn nothing, if they are near the means."
    )
    return [figure("curves", picture, caption)]


def _comparisons(scores: Scores, second: Scores) -> list[Block]:
    """The paired differences from the reference, as a figure and as a table."""
    if not scores.comparisons:
        return []
    return [*_intervals(scores, second), _tests(scores)]


def _intervals(scores: Scores, second: Scores) -> list[Block]:
    study = scores.study
    arms = [arm for arm in scores.comparisons if arm not in LEARNS_NOTHING]
    if not arms:
        return []
    panels = {}
    for one in (scores, second):
        found = {arm: one.comparisons[arm][0] for arm in arms}
        shown = {arm: (each.mean, each.interval) for arm, each in found.items()}
        panels[metric_name(one.metric)] = shown, one.rope
    picture = intervals(panels, f"difference from {scores.reference}, right is better")
    caption = (
        f"Differences from {scores.reference} with their {study.level:.0%} intervals over tables and seeds, "
        "not adjusted for their number, positive where the arm is better; grey ones include zero. "
        f"Differences within the grey bands, {scores.rope:g} and {second.rope:g} to either side, do not "
        "matter."
    )
    return [figure("differences", picture, caption)]


def _tests(scores: Scores) -> Block:
    level = f"{scores.study.level:.0%}"
    wilcoxon = {
        arm: found.wilcoxon for arm, (found, _) in scores.comparisons.items() if scores.roles[arm] == "arm"
    }
    adjusted_wilcoxon = dict(zip(wilcoxon, holm(list(wilcoxon.values())), strict=True))
    rows = [
        _test_row(scores, arm, adjusted_wilcoxon.get(arm, found.wilcoxon))
        for arm, (found, _) in scores.comparisons.items()
    ]
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
    caption = (
        f"Differences from {scores.reference} in {metric_name(scores.metric)}, paired by table and seeds, "
        "positive where the arm is better. The first interval and its p are about the priors: other seeds, "
        "other tables. Bootstrap, Wilcoxon's signed ranks and the last column have tables alone as units, "
        "and are about these trained models. The last column holds the probabilities of the Bayesian "
        f"signed-rank test that {scores.reference} is better by {scores.rope:g} or more, that neither is, "
        "and that the arm is."
    )
    return table(header, rows, caption)


def _test_row(scores: Scores, arm: str, wilcoxon: float) -> list[str]:
    found, adjusted = scores.comparisons[arm]
    low, high = found.bootstrap
    worse, neither, better = bayesian_signed_rank(found.tables, scores.rope)
    return [
        arm,
        *estimate_cells(found.mean, found.interval),
        f"{adjusted:.2g}",
        "yes" if shows_difference(found, adjusted, scores.study.level) else "no",
        "" if np.isnan(low) else f"{low:+.4f} to {high:+.4f}",
        f"{wilcoxon:.2g}",
        f"{found.wins}, {found.losses}",
        f"{worse:.2f} / {neither:.2f} / {better:.2f}",
    ]


def _ranks(scores: Scores) -> list[Block]:
    level = scores.study.level
    arms = [arm for arm in _from_best(scores) if arm in scores.single_arms and arm not in LEARNS_NOTHING]
    if len(arms) < 2 or len(scores.tables) < 2:
        return []
    ranked = {arm: means * scores.sign for arm, means in scores.table_means_on_common_seeds(arms).items()}
    if not ranked:
        return [text("No ranks of the arms: no seed has scores of all of them.")]
    is_whole = all(np.isfinite(scores.of[arm]).all() for arm in arms)
    which = "seeds" if is_whole else "the seeds that all arms have"
    found = average_ranks(np.stack(list(ranked.values())), level)
    ranks = dict(zip(ranked, found.means.tolist(), strict=True))
    shows = "shows" if found.friedman < 1 - level else "does not show"
    caption = (
        f"Average ranks over tables, {which} averaged first; a bar joins arms between which Nemenyi's test "
        f"finds no difference. Friedman's test {shows} that the arms differ at all (p = "
        f"{found.friedman:.2g}). Only tables are units here, so this holds for these trained models, not for "
        "their priors in general."
    )
    return [figure("ranks", critical_differences(ranks, found.critical_difference), caption)]


def _differences_by_table(scores: Scores) -> list[Block]:
    shown = {arm: found.tables for arm, (found, _) in scores.comparisons.items() if arm not in LEARNS_NOTHING}
    if not shown:
        return []
    label = f"difference from {scores.reference} in {metric_name(scores.metric)}, right is better"
    caption = (
        f"Table by table: the difference of each arm from {scores.reference} in "
        f"{metric_name(scores.metric)}, mean over seeds, positive where the arm is better."
    )
    return [figure("tables", table_differences(scores.tables, shown, label), caption)]


def _scores_by_table(scores: Scores) -> Block:
    columns = {arm: scores.table_means(arm) for arm in _from_best(scores) if arm in scores.single_arms} | {
        plain(baseline): values for baseline, values in scores.baselines.items()
    }
    rows = [
        [name, *(three_digits(values[i]) for values in columns.values())]
        for i, name in enumerate(scores.tables)
    ]
    caption = f"{metric_name(scores.metric)} of every table, mean over seeds."
    return table(["table", *columns], rows, caption)
