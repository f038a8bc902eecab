"""What a study can show before it is run: the smallest difference in each metric, and what would halve it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nanotabpfn.evaluation.metrics import METRICS
from nanotabpfn.studies.arms import dose_series, reference_of, resolve_arms, varied_arms
from nanotabpfn.studies.designs import design_matrix
from nanotabpfn.studies.effects import weights_of
from nanotabpfn.studies.power import (
    Components,
    Design,
    smallest_difference,
    smallest_effects,
    units_needed,
)
from nanotabpfn.studies.real_tables import suite_tasks
from nanotabpfn.studies.spec import Study
from nanotabpfn.studies.statistics import trend
from nanotabpfn.studies.variances import measured_variances, nearest_variances, unlike


class Smallest(NamedTuple):
    """The smallest differences in one metric that are shown with 80 % power."""

    alone: float  # of one comparison
    adjusted: float  # of each of all comparisons, whatever the others show (Holm)


class SmallestEffect(NamedTuple):
    """The smallest main effect of a setting that is shown with 80 % power, in the study's metric."""

    design: str  # the arm of the study file
    change: str  # the setting, from where to where
    smallest: Smallest


class PlannedPower(NamedTuple):
    """What a study can show."""

    smallest: dict[str, Smallest]  # differences between two arms, by metric
    trends: dict[str, float]  # series of doses -> the smallest change over it, in the study's metric
    effects: tuple[SmallestEffect, ...]  # of random and factorial designs
    num_comparisons: int  # of arms with the reference; arms of random designs are not compared one by one
    measured_in: str
    unlike: str  # what this study does not have in common with it; empty if all
    remedies: tuple[str, ...]  # what would halve the smallest difference in the study's metric


def planned_power(study: Study) -> PlannedPower:
    """The smallest differences that a study can show, from the components that ship with the package.

    Examples:
        >>> arms = {"linear": {"preset": "linear"}, "gp": {"preset": "gp"}}
        >>> found = planned_power(Study(name="mine", arms=arms, suites=("builtin",)))
        >>> found.num_comparisons, 0 < found.smallest["roc_auc"].alone < 1
        (1, True)
    """
    found = nearest_variances(study)
    compared = [arm for arm in resolve_arms(study) if arm.role == "arm" and arm.name != reference_of(study)]
    effects_only = not compared and bool(varied_arms(study))
    num_comparisons = max(1, len(compared))  # a study of one arm is planned for another one to come
    design = design_of(study, len(suite_tasks(study.suites[0], study.row_samples)))
    smallest = {
        metric: smallest_of(found.of(study, metric), design, study.level, num_comparisons)
        for metric in METRICS
    }
    measured_in = f"{found.source}: suite {found.suite}, recipe {found.recipe}, {found.steps} steps"
    remedies: tuple[str, ...] = ()
    if max(design) > 1 and not effects_only:  # else nothing is shown of other tables and seeds, however large
        components = found.of(study, study.metric)
        remedies = remedies_of(components, design, study, num_comparisons)
        remedies += _other_steps(study, design, num_comparisons)
    trends = {
        series.name: smallest_change(
            found.of(study, study.metric), design, study.level, list(series.doses.values())
        )
        for series in dose_series(study)
    }
    effects = tuple(effects_of(found.of(study, study.metric), design, study))
    number = 0 if effects_only else num_comparisons
    return PlannedPower(smallest, trends, effects, number, measured_in, unlike(study, found), remedies)


def effects_of(components: Components, design: Design, study: Study) -> list[SmallestEffect]:
    """The smallest main effects that a study can show: each alone, and each of all of them (Holm).

    Examples:
        >>> vary = {"mechanisms": ["linear", "mlp"], "label_noise": "uniform(0, 0.3)"}
        >>> arms = {"many": {"preset": "default", "vary": vary, "design": "random", "num_arms": 20}}
        >>> components = Components(tables=0.008, pairs=0.013, rest=0.019)
        >>> study = Study(name="mine", arms=arms)
        >>> for effect in effects_of(components, Design(6, 1, 13), study):
        ...     print(effect.change, f"{effect.smallest.alone:.3f}")
        mechanisms from linear to mlp 0.007
        label_noise from 0 to 0.3 0.011
    """
    designs = varied_arms(study)
    number = sum(len(one.effects) for one in designs)
    found = []
    for one in designs:
        columns = design_matrix(one.settings, one.values.values())
        norms = np.square(weights_of(columns)).sum(axis=1).tolist()
        changes = [effect.words for effect in one.effects]
        by_level = [
            smallest_effects(components, design, norms, len(columns), level)
            if one.is_sample
            else [smallest_difference(_of_contrast(components, norm), design, level) for norm in norms]
            for level in (study.level, 1 - (1 - study.level) / number)
        ]
        found += [
            SmallestEffect(one.name, change, Smallest(*each))
            for change, *each in zip(changes, *by_level, strict=True)
        ]
    return found


def design_of(study: Study, num_tables: int) -> Design:
    """The size of a study.

    Examples:
        >>> study = Study(name="mine", arms={"linear": {"preset": "linear"}})
        >>> design_of(study, num_tables=13)  # six pairs of seeds by default
        Design(num_data=6, num_model=1, num_tables=13)
    """
    num_models = len(study.model_seeds) if study.seed_design == "crossed" else 1
    return Design(len(study.data_seeds), num_models, num_tables)


def smallest_of(components: Components, design: Design, level: float, num_comparisons: int) -> Smallest:
    """The smallest differences, of one comparison and of each of several.

    Examples:
        >>> components = Components(tables=0.008, pairs=0.013, rest=0.019)
        >>> alone, adjusted = smallest_of(components, Design(6, 1, 13), level=0.95, num_comparisons=4)
        >>> alone < adjusted
        True
    """
    of_each = 1 - (1 - level) / num_comparisons  # the first step of Holm's method, which is the strictest
    return Smallest(*(smallest_difference(components, design, one) for one in (level, of_each)))


def smallest_change(components: Components, design: Design, level: float, doses: list[float]) -> float:
    """The smallest change over a series of doses, by its least-squares line.

    The change is a contrast of the arms, each of which has half of the variance of a difference between two.
    """
    weights = trend(
        np.eye(len(doses))[:, :, None, None], np.array(doses)
    ).ravel()  # of each arm in the change
    return smallest_difference(_of_contrast(components, float(np.square(weights).sum())), design, level)


def _of_contrast(components: Components, norm: float) -> Components:
    """The components of a contrast of arms, from those of a difference between two.

    Args:
        norm: sum of the squares of the arms' weights; 2 for a difference.
    """
    return Components(*(np.sqrt(norm / 2) * value for value in components))


def remedies_of(
    components: Components, design: Design, study: Study, num_comparisons: int
) -> tuple[str, ...]:
    """What would halve the smallest difference, with its cost: more pairs of seeds, tables, samples of
    rows.

    Examples:
        >>> study = Study(name="mine", arms={"a": {"preset": "linear"}})
        >>> components = Components(tables=0.008, pairs=0.013, rest=0.019)
        >>> remedies_of(components, Design(6, 1, 13), study, num_comparisons=1)[0]
        '26 pairs of seeds instead of 6: 4.3 times the trainings'
    """

    def difference(changed: Design, of: Components = components) -> float:
        return smallest_of(of, changed, study.level, num_comparisons).adjusted

    half, now = difference(design) / 2, design.num_data * design.num_model
    if now == 1:  # its difference is that of one pair alone, and no size of it is half of one over all pairs
        return ("more pairs of seeds: of one pair, what is shown holds for that pair alone",)
    pairs = "data seeds" if design.num_model > 1 else "pairs of seeds"
    paired = difference(Design(now, 1, design.num_tables))
    return (
        *[f"seed_design: paired, with {now} pairs, the same number of trainings: it is {paired:.4f}"]
        * (design.num_model > 1),
        _remedy(
            pairs,
            "trainings",
            lambda number: difference(design._replace(num_data=number)),
            half,
            design.num_data,
        ),
        _remedy(
            "tables",
            "time for scoring, no more training",
            lambda number: difference(design._replace(num_tables=number)),
            half,
            design.num_tables,
        ),
        _remedy(
            "row samples",
            "time for scoring, no more training",
            lambda number: difference(design, components.with_row_samples(number / study.row_samples)),
            half,
            study.row_samples,
        ),
    )


def _remedy(units: str, cost: str, difference: Callable[[int], float], half: float, now: int) -> str:
    number = units_needed(difference, half, now)
    if number is not None:
        return f"{number} {units} instead of {now}: {number / now:.1f} times the {cost}"
    return f"{units} alone do not: with ten times as many ({10 * now}) it is {difference(10 * now):.4f}"


def _other_steps(study: Study, design: Design, num_comparisons: int) -> tuple[str, ...]:
    """The smallest difference after other numbers of steps of the same recorded study."""
    chosen = nearest_variances(study)
    others = [
        one for one in measured_variances() if one.source == chosen.source and one.suite == chosen.suite
    ]
    if len(others) < 2:
        return ()
    found = [
        f"{smallest_of(one.of(study, study.metric), design, study.level, num_comparisons).adjusted:.4f} "
        f"after {one.steps}"
        for one in sorted(others, key=lambda one: one.steps)
    ]
    return (
        f"more steps, as they were recorded: {', '.join(found)}; the time for training grows with the steps",
    )
