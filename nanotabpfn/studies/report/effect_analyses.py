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
    """The main effects of one design in one metric, with the sign such that more is better."""

    design: VariedArms
    shape: tuple[int, int, int, int]  # (A, D, M, T) of the scores that are used
    main: tuple[Found, ...]


def analyses(scores: Scores, designs: Iterable[VariedArms] | None = None) -> dict[str, Analysis]:
    """Name of the design -> its main effects; of each design with enough arms.

    The effects of all designs are adjusted together (Holm).

    Args:
        designs: None for those of the study.
    """
    level, prepared, found = scores.study.level, _grids(scores, designs), {}
    for design, grid in prepared:
        effects = estimates(contrasts(grid.values, grid.columns, design.is_sample), level)
        found[design.name] = [((effect,), one) for effect, one in zip(design.effects, effects, strict=True)]
    main = _adjusted(found)
    return {design.name: Analysis(design, grid.values.shape, main[design.name]) for design, grid in prepared}


def interactions(scores: Scores, designs: Iterable[VariedArms] | None = None) -> dict[str, tuple[Found, ...]]:
    """Name of the design -> every interaction of two settings that its arms suffice for, adjusted in the same
    way.

    Args:
        designs: None for those of the study.
    """
    level, prepared = scores.study.level, _grids(scores, designs)
    return _adjusted({design.name: _interactions(design, grid, level) for design, grid in prepared})


def _adjusted(
    of_designs: dict[str, list[tuple[tuple[Effect, ...], Estimate]]],
) -> dict[str, tuple[Found, ...]]:
    """The same with the p-values of all designs adjusted together."""
    adjusted = iter(holm([one.p_value for found in of_designs.values() for _, one in found]))
    return {
        name: tuple(Found(effects, one, next(adjusted)) for effects, one in found)
        for name, found in of_designs.items()
    }


def used_shapes(scores: Scores) -> dict[str, tuple[int, int, int, int]]:
    """Name of the design -> the shape (A, D, M, T) of the scores from which its effects are estimated."""
    return {design.name: grid.values.shape for design, grid in _grids(scores)}


class Grid(NamedTuple):
    """The scores of a design without missing cells, and its matrix."""

    arms: list[str]
    values: np.ndarray  # (A, D, M, T), more is better
    columns: np.ndarray  # (A, E)


def grid_of(scores: Scores, design: VariedArms) -> Grid | None:
    """The complete grid of a design; None if its arms are too few."""
    arms = [arm for arm in design.values if arm in scores.of]
    if not arms or (not design.is_sample and len(arms) < len(design.values)):
        return None
    values = np.stack([scores.of[arm] for arm in arms]) * scores.sign
    kept = complete_grid(np.isfinite(values).all(axis=3), keeps_arms=not design.is_sample)
    values = values[np.ix_(*kept, range(values.shape[3]))]
    if not values.size:
        return None
    arms = [arms[number] for number in kept[0]]
    columns = design_matrix(design.settings, [design.values[arm] for arm in arms])
    try:
        contrasts(values, columns, design.is_sample)
    except ValueError:
        return None
    return Grid(arms, values, columns)


def _grids(scores: Scores, designs: Iterable[VariedArms] | None = None) -> list[tuple[VariedArms, Grid]]:
    """The designs of which the arms suffice, each with its grid."""
    designs = scores.designs if designs is None else designs
    return [(design, grid) for design in designs if (grid := grid_of(scores, design))]


def _interactions(design: VariedArms, grid: Grid, level: float) -> list[tuple[tuple[Effect, ...], Estimate]]:
    every = design.effects
    of_settings = [
        [number for number, effect in enumerate(every) if effect.path == setting.path]
        for setting in design.settings
    ]
    found = []
    for one, other in combinations(of_settings, 2):
        both = interaction(grid.values, grid.columns, one, other, design.is_sample)
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
    for design, grid in _grids(scores):
        if not design.is_sample:
            continue
        levels = [(setting.path, level) for setting in design.settings for level in setting.levels]
        groups = [np.isin(grid.arms, design.arms_at(path, level)) for path, level in levels]
        noisy = noisiest(grid.values, grid.columns, groups, scores.study.level)
        if noisy is None:
            continue
        path, level = levels[noisy.number]
        left = without_level(design, path, level)
        rest = grid_of(scores, left)
        if rest is not None:
            found[design.name] = Quieter(left, path, level, noisy, len(rest.arms))
    return found
