"""The section on main effects: what each setting of a random or factorial design changes.

Axis letters: A arms, D data seeds, M model seeds, T tables, E effects.
"""

from collections.abc import Iterable

import numpy as np

from nanotabpfn.studies.designs import VariedArms
from nanotabpfn.studies.effects import Estimate, differing
from nanotabpfn.studies.report.blocks import Block, estimate_cells, figure, metric_name, table, text
from nanotabpfn.studies.report.effect_analyses import (
    Analysis,
    Found,
    Quieter,
    analyses,
    grid_of,
    interactions,
    quieter,
)
from nanotabpfn.studies.report.figures import effect_intervals
from nanotabpfn.studies.report.scores import Scores


def effect_words(scores: Scores, designs: Iterable[VariedArms] | None = None) -> list[str]:
    """A sentence on each main effect and interaction that is shown, and one on the others.

    Args:
        designs: None for those of the study.
    """
    lines, level, of_two = [], scores.study.level, interactions(scores, designs)
    for name, analysis in analyses(scores, designs).items():
        lines += [*_shown(analysis, scores), *_not_shown(analysis, scores)]
        lines += [
            f"{name}: the effect of {one.effects[0].words} depends on {one.effects[1].path}, by "
            f"{_with_interval(one.estimate)} from {one.effects[1].start} to {one.effects[1].end}."
            for one in of_two[name]
            if one.is_shown(level)
        ]
    return lines


def second_words(second: Scores, designs: Iterable[VariedArms] | None = None) -> list[str]:
    """A sentence on each main effect that is shown in the second metric.

    Args:
        designs: None for those of the study.
    """
    found = analyses(second, designs).values()
    return [f"In {metric_name(second.metric)}, {line}" for one in found for line in _shown(one, second)]


def _shown(analysis: Analysis, scores: Scores) -> list[str]:
    """A sentence on each main effect that is shown, the largest first."""
    shown = [one for one in analysis.main if one.is_shown(scores.study.level)]
    lines = []
    for one in sorted(shown, key=lambda one: -abs(one.estimate.mean)):
        direction = "better" if one.estimate.mean > 0 else "worse"
        small = ", less than the difference that matters" if abs(one.estimate.mean) < scores.rope else ""
        lines.append(
            f"{analysis.design.name}, {one.effects[0].short_words}: {direction}, "
            f"{_with_interval(one.estimate)}{small}."
        )
    return lines


def quieter_words(scores: Scores, second: Scores) -> list[Block]:
    """The verdicts without the noisiest level of each design; nothing if no level varies more than the
    others."""
    found = quieter(scores)
    if not found:
        return []
    designs = [one.design for one in found.values()]
    lines = [*effect_words(scores, designs), *second_words(second, designs)]
    words = [_noisy_words(name, one, scores) for name, one in found.items()]
    return [text(f"{' '.join(words)} Without them:"), Block("list", items_=tuple(lines))]


def _noisy_words(name: str, found: Quieter, scores: Scores) -> str:
    """Which arms vary more than the others, and by how much."""
    noisy = found.noisy
    return (
        f"{name}: the scores of arms with {found.path} {found.level} vary more about the regression than "
        f"those of the others (standard deviation {noisy.deviation:.2g} and {noisy.others:.2g} in "
        f"{metric_name(scores.metric)}; Levene's test, p = {noisy.p_value:.1g} after Holm's adjustment), "
        f"which widens the intervals of all effects. {found.num_arms} other arms are left."
    )


def _not_shown(analysis: Analysis, scores: Scores) -> list[str]:
    """Sentences on the effects that are not shown: those that cannot matter, by their intervals, and the
    others. A setting of which all changes are in one sentence is named alone."""
    not_shown = [one for one in analysis.main if not one.is_shown(scores.study.level)]
    known = [one for one in not_shown if np.isfinite(one.estimate.interval).all()]
    if not_shown and not known:
        return [f"{analysis.design.name}: one seed on one table gives no intervals, so no effect is shown."]
    small = [one for one in known if max(map(abs, one.estimate.interval)) < scores.rope]
    others = [one for one in not_shown if one not in small]
    lines = []
    for found, ruled_out in ((small, f", and one of {scores.rope:g} or more is ruled out,"), (others, "")):
        if found:
            elsewhere = {one.effects[0].path for one in analysis.main if one not in found}
            effects = [one.effects[0] for one in found]
            names = dict.fromkeys(one.short_words if one.path in elsewhere else one.path for one in effects)
            halves = [(high - low) / 2 for low, high in (one.estimate.interval for one in found)]
            reach = " to ".join(dict.fromkeys(f"{half:.2g}" for half in (min(halves), max(halves))))
            lines.append(
                f"{analysis.design.name}: no effect was shown{ruled_out} of {'; '.join(names)} "
                f"(half-widths of the intervals: {reach})."
            )
    return lines


def _with_interval(estimate: Estimate) -> str:
    mean, interval = estimate_cells(estimate.mean, estimate.interval)
    return f"{mean} ({interval})"


def main_effects(scores: Scores, second: Scores, begun: Scores, second_begun: Scores) -> list[Block]:
    """The figure and the table of each design, in two metrics; nothing if the study has none.

    Args:
        begun: `scores` without trainings that had not begun; `second_begun` likewise.
    """
    found = {metric_name(one.metric): analyses(one) for one in (scores, second)}
    of_two = {metric_name(one.metric): interactions(one) for one in (scores, second)}
    without = {metric_name(one.metric): analyses(one) for one in (begun, second_begun)}
    blocks = []
    for number, design in enumerate(scores.designs, 1):
        of_metrics = {metric: every[design.name] for metric, every in found.items() if design.name in every}
        if len(of_metrics) < 2:
            blocks.append(
                text(f"{design.name}: the arms that have scores are too few for the effects of its settings.")
            )
            continue
        of_begun = {metric: every.get(design.name) for metric, every in without.items()}
        blocks += [
            _summary(scores, next(iter(of_metrics.values()))),
            _figure(f"effects-{number}", scores, second, of_metrics),
            _table(scores, of_metrics, of_begun),
            *_differing(scores, second, design),
            *_quieter_table(scores, second, begun, second_begun, design),
            *_interaction_blocks(scores, {metric: of_two[metric][design.name] for metric in of_metrics}),
        ]
    return blocks


def _summary(scores: Scores, analysis: Analysis) -> Block:
    """What the effects are, and what they are estimated from."""
    design, (num_arms, num_data, num_model, num_tables) = analysis.design, analysis.shape
    left_out = len(design.values) - num_arms
    num_cells, planned = num_arms * num_data * num_model, len(design.values) * len(scores.study.seeds)
    words = (
        f"{design.name}: {num_arms} arms, {'drawn at random' if design.is_sample else 'all combinations'}, "
        f"with {len(design.settings)} settings; {num_cells} cells on {num_tables} tables. "
        "An effect is the change of the score when one setting changes and the others keep the mixture that "
        "they have in the design, by least squares. "
    )
    if design.is_sample:
        words += (
            "The units of its interval are tables and arms: the residual of an arm has what the regression "
            "leaves out, and the luck of its cells. Seeds are blocks; if effects differ between them more "
            "than that, it is part of the interval."
        )
    else:
        words += "The units of its interval are tables and seeds, as for differences between arms."
    if num_cells < planned:
        words += f" Only a complete grid of arms and seeds is used: {num_cells} of {planned} cells"
        words += f", without {left_out} of the arms." if left_out else ", all arms with fewer seeds."
    return text(words)


def _figure(file: str, scores: Scores, second: Scores, of_metrics: dict[str, Analysis]) -> Block:
    level = scores.study.level
    panels = {}
    for one, (metric, analysis) in zip((scores, second), of_metrics.items(), strict=True):
        rows = {}
        for found in analysis.main:
            [effect] = found.effects
            name = f"{effect.path}: {effect.short_start} \N{RIGHTWARDS ARROW} {effect.end}"
            rows[name] = found.estimate.mean, found.estimate.interval, found.is_shown(level)
        panels[metric] = rows, one.rope
    names, analysis = list(panels), next(iter(of_metrics.values()))
    caption = (
        f"{analysis.design.name}: change in {names[0]} and in {names[1]} from the first value of each "
        f"setting to the second, right is better, with {level:.0%} intervals; {analysis.shape[0]} arms, "
        f"{analysis.shape[3]} tables. A filled mark is a claim after Holm's adjustment. Changes within the "
        f"grey bands, {scores.rope:g} and {second.rope:g} to either side, do not matter. An interval that "
        "leaves the axis ends in a triangle."
    )
    return figure(file, effect_intervals(panels), caption)


def _table(
    scores: Scores,
    of_metrics: dict[str, Analysis],
    of_begun: dict[str, Analysis | None],
    which: str = "",
) -> Block:
    level = f"{scores.study.level:.0%}"
    rows = []
    for metric, analysis in of_metrics.items():
        begun = of_begun[metric]
        for number, found in enumerate(analysis.main):
            [effect] = found.effects
            without = begun.main[number].estimate if begun else None
            rows.append(
                [
                    effect.path,
                    f"{effect.start} to {effect.end}",
                    metric,
                    *estimate_cells(found.estimate.mean, found.estimate.interval),
                    f"{found.adjusted:.2g}",
                    "yes" if found.is_shown(scores.study.level) else "no",
                    *(estimate_cells(without.mean, without.interval) if without else ["", ""]),
                ]
            )
    header = [
        "setting",
        "change",
        "metric",
        "effect",
        f"{level} interval",
        "p (Holm)",
        "shown",
        "without late trainings",
        f"{level} interval",
    ]
    caption = (
        f"{which}Main effects, positive where the second value is better. Of a setting with a list of "
        "values each one is compared with the first; of one with a distribution the change is over its "
        "whole range, along a line, of log-uniform numbers on a log scale. Intervals are not adjusted for "
        "their number; p is, within a metric."
    )
    return table(header, rows, caption, (1, 2, 6))


def _quieter_table(
    scores: Scores, second: Scores, begun: Scores, second_begun: Scores, design: VariedArms
) -> list[Block]:
    """The main effects without the noisiest level of a design, if it has one."""
    every = quieter(scores)
    found = every.get(design.name)
    if found is None:
        return []
    left = [one.design for one in every.values()]  # all, as their p-values are adjusted together
    of_metrics, of_begun = (
        {metric_name(one.metric): analyses(one, left).get(design.name) for one in both}
        for both in ((scores, second), (begun, second_begun))
    )
    if None in of_metrics.values():
        return []
    words = _noisy_words(design.name, found, scores)
    without = f"Without the arms with {found.path} {found.level}. "
    return [text(words), _table(scores, of_metrics, of_begun, without)]


def _differing(scores: Scores, second: Scores, design: VariedArms) -> list[Block]:
    """Which effects have a wide interval because they differ between seeds."""
    study, found = scores.study, []
    for one in (scores, second):
        grid = grid_of(one, design)
        if grid is None or not design.is_sample:
            continue
        every = design.effects
        for number, kind, effects in differing(grid.values, grid.columns):
            kinds = "pairs of seeds" if study.seed_design == "paired" else ("data seeds", "model seeds")[kind]
            each = " and ".join(f"{effect:+.4f}" for effect in effects)
            found.append(
                f"{every[number].words}, {metric_name(one.metric)}: {each} in the {len(effects)} {kinds}."
            )
    if not found:
        return []
    words = (
        "Effects that differ more between seeds than the others do (F-test, of each at 5%, so about one of "
        "twenty by chance). Their intervals are wide, since few seeds say little of how much an effect "
        "differs between them; more seeds narrow them."
    )
    return [text(words), Block("list", items_=tuple(found))]


def _interaction_blocks(scores: Scores, of_metrics: dict[str, tuple[Found, ...]]) -> list[Block]:
    """The interactions that are shown, or that none is."""
    level = scores.study.level
    number = len(next(iter(of_metrics.values())))
    if not number:
        return []
    shown = [
        [
            found.effects[0].words,
            found.effects[1].words,
            metric,
            *estimate_cells(found.estimate.mean, found.estimate.interval),
            f"{found.adjusted:.2g}",
        ]
        for metric, every in of_metrics.items()
        for found in every
        if found.is_shown(level)
    ]
    if not shown:
        return [
            text(
                f"Interactions of two settings: none stands out of {number} tested in each metric (Holm). "
                "Interactions need more arms than main effects do: smaller ones may exist."
            )
        ]
    caption = (
        f"Interactions of two settings that stand out of {number} tested in each metric (Holm): how much "
        "larger the effect of the first change is at the end of the second than at its start. Main effects "
        "of these settings are means over both."
    )
    header = ["change", "with", "metric", "difference of effects", f"{level:.0%} interval", "p (Holm)"]
    return [table(header, shown, caption, (1, 2))]
