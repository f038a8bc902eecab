"""The effects of the settings of a study's designs, from the scores of its arms.

Axis letters: A arms, D data seeds, M model seeds, T tables, E effects.
"""

from collections.abc import Iterable
from itertools import combinations
from typing import NamedTuple

import numpy as np

from nanotabpfn.studies.designs import Effect, VariedArms, design_matrix, without_level
from nanotabpfn.studies.effects import (
    Estimate,
    Noisier,
    complete_grid,
    contrasts,
    estimates,
    interaction,
    noisiest,
)
from nanotabpfn.studies.report.scores import Scores
from priors.audit.compare import holm
from priors.settings import write_value


class Found(NamedTuple):
    """An effect, or an interaction of two, with its p-value adjusted for the number of its kind."""

    effects: tuple[Effect, ...]
    estimate: Estimate
    adjusted: float

    def is_shown(self, level: float) -> bool:
        """Whether it is claimed."""
        low, high = self.estimate.interval
        return not low <= 0 <= high and self.adjusted < 1 - level


class Analysis(NamedTuple):
    """The effects of one design in one metric, with the sign such that more is better."""

    design: VariedArms
    shape: tuple[int, int, int, int]  # (A, D, M, T) of the scores that are used
    main: tuple[Found, ...]
    interactions: tuple[Found, ...]


def analyses(scores: Scores, designs: Iterable[VariedArms] | None = None) -> dict[str, Analysis]:
    """Name of the design -> its effects; of each design with enough arms.

    Main effects of all designs are adjusted together (Holm), and so are interactions.

    Args:
        designs: None for those of the study.
    """
    designs = scores.designs if designs is None else designs
    prepared = {design.name: (design, one) for design in designs if (one := grid_of(scores, design))}
    names, level = list(prepared), scores.study.level
    main = {
        name: estimates(contrasts(grid.values, grid.columns, is_sample(design)), level)
        for name, (design, grid) in prepared.items()
    }
    of_pairs = {name: _interactions(*prepared[name], level) for name in names}
    adjusted = iter(holm([one.p_value for name in names for one in main[name]]))
    of_interactions = iter(holm([one.p_value for name in names for _, one in of_pairs[name]]))
    return {
        name: Analysis(
            prepared[name][0],
            prepared[name][1].values.shape,
            tuple(
                Found((effect,), one, next(adjusted))
                for effect, one in zip(effects_of(prepared[name][0]), main[name], strict=True)
            ),
            tuple(Found(pair, one, next(of_interactions)) for pair, one in of_pairs[name]),
        )
        for name in names
    }


def used_shapes(scores: Scores) -> dict[str, tuple[int, int, int, int]]:
    """Name of the design -> the shape (A, D, M, T) of the scores from which its effects are estimated."""
    grids = {design.name: grid_of(scores, design) for design in scores.designs}
    return {name: grid.values.shape for name, grid in grids.items() if grid}


def is_sample(design: VariedArms) -> bool:
    """Whether the arms of a design are drawn, so that another study would have others."""
    return design.design == "random"


def effects_of(design: VariedArms) -> list[Effect]:
    """The effects of all settings of a design, in the order of its columns."""
    return [effect for setting in design.settings for effect in setting.effects]


class Grid(NamedTuple):
    """The scores of a design without missing cells, and its matrix."""

    arms: list[str]
    values: np.ndarray  # (A, D, M, T), more is better
    columns: np.ndarray  # (A, E)


def grid_of(scores: Scores, design: VariedArms) -> Grid | None:
    """The complete grid of a design; None if its arms are too few."""
    arms = [arm for arm in design.values if arm in scores.of]
    if not arms or (not is_sample(design) and len(arms) < len(design.values)):
        return None
    values = np.stack([scores.of[arm] for arm in arms]) * scores.sign
    kept = complete_grid(np.isfinite(values).all(axis=3), keeps_arms=not is_sample(design))
    values = values[np.ix_(*kept, range(values.shape[3]))]
    if not values.size:
        return None
    arms = [arms[number] for number in kept[0]]
    columns = design_matrix(design.settings, [design.values[arm] for arm in arms])
    try:
        contrasts(values, columns, is_sample(design))
    except ValueError:
        return None
    return Grid(arms, values, columns)


def _interactions(
    design: VariedArms, grid: Grid, level: float
) -> list[tuple[tuple[Effect, Effect], Estimate]]:
    """Every interaction of two settings that the arms suffice for."""
    every = effects_of(design)
    of_settings = [
        [number for number, effect in enumerate(every) if effect.path == setting.path]
        for setting in design.settings
    ]
    found = []
    for one, other in combinations(of_settings, 2):
        both = interaction(grid.values, grid.columns, one, other, is_sample(design))
        if both is not None:
            pairs = [(every[i], every[j]) for i in one for j in other]
            found += zip(pairs, estimates(both, level), strict=True)
    return found


class Quieter(NamedTuple):
    """A random design without the arms at one level, which vary more than the others."""

    design: VariedArms
    path: str
    level: str
    noisy: Noisier  # how much these arms vary
    num_arms: int  # others, whose scores are complete


def quieter(scores: Scores) -> dict[str, Quieter]:
    """Name of the design -> it without its noisiest level; of the designs that have one, and enough arms."""
    found = {}
    for design in scores.designs:
        grid = grid_of(scores, design)
        if grid is None or not is_sample(design):
            continue
        levels = [(setting.path, level) for setting in design.settings for level in setting.levels]
        groups = [
            np.array([write_value(design.values[arm][path]) == level for arm in grid.arms])
            for path, level in levels
        ]
        noisy = noisiest(grid.values, grid.columns, groups, scores.study.level)
        if noisy is None:
            continue
        path, level = levels[noisy.number]
        left = without_level(design, path, level)
        rest = grid_of(scores, left)
        if rest is not None:
            found[design.name] = Quieter(left, path, level, noisy, len(rest.arms))
    return found
