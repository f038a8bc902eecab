"""Main effects of settings, and two-way interactions, by regression on the arms of a study.

In the balanced grid that the estimates are made of (all arms, all seeds, all tables), seeds are blocks: they
add the same to all arms and cancel. An effect is a linear contrast of the arms with weights (A,), those of
least squares.

Axis letters: A arms, D data seeds, M model seeds, T tables, E effects, U units of one kind.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

from nanotabpfn.studies.statistics import mean_interval, mean_p_value, variance_parts
from priors.audit.compare import holm

DIFFERS = 0.05
"""p-value of an F-test, below which an effect is taken to differ more between seeds than the others do."""
LEAST_GROUP = 6
"""Arms that a group needs for a comparison of its spread with that of the others."""
SEED_AXES = (-2, -1), (-3, -1)
"""The axes of scores (..., A, D, M, T) over which the scores of each data seed are means, and of each model
seed."""


class Estimate(NamedTuple):
    """An effect, in units of the scores."""

    mean: float
    error: float  # standard error
    interval: tuple[float, float]
    p_value: float  # that it is 0, by that interval


class Contrasts(NamedTuple):
    """The effects in one study or in many (...), with the parts of their variance."""

    means: np.ndarray  # (..., E)
    parts: list[tuple[np.ndarray, int]]  # (..., E) and degrees of freedom


def weights_of(columns: np.ndarray) -> np.ndarray:
    """The weights (E, A) of the arms in each effect: least squares on `columns` (A, E) and a mean.

    Raises:
        ValueError: the effects cannot be separated with these arms.

    Examples:
        >>> weights_of(np.array([[0.0], [0.0], [1.0], [1.0]])).tolist()
        [[-0.5, -0.5, 0.5, 0.5]]
    """
    matrix = _with_mean(columns)
    if np.linalg.matrix_rank(matrix) < matrix.shape[1]:
        raise ValueError(f"the {columns.shape[1]} effects cannot be separated with {len(columns)} arms")
    return np.linalg.pinv(matrix)[1:].round(12)


def _with_mean(columns: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(columns)), columns])


def contrasts(scores: np.ndarray, columns: np.ndarray, is_sample: bool) -> Contrasts:
    """The effects of the settings on scores (..., A, D, M, T), and the parts of their variance.

    If the arms are all combinations of the settings' values, they are no sample: an effect is the mean over
    these combinations, and its variance is that of any contrast of arms, with tables and seeds as units.

    If they are a sample, another one would have other arms. So its units are tables, and arms: the residual
    of the regression is what other settings of the arms change in a way that it leaves out, and the luck of
    their cells. Luck that a seed has in common for all arms cancels. Luck that depends on the settings is a
    part of its own, as far as effects differ more between seeds than the residuals do.

    Args:
        columns: (A, E), of `designs.design_matrix`.

    Raises:
        ValueError: the effects cannot be separated, or there is no residual.

    Examples:
        >>> scores = np.array([0.1, 0.2, 0.5, 0.6]).reshape(4, 1, 1, 1)
        >>> found = contrasts(scores, np.array([[0.0], [0.0], [1.0], [1.0]]), is_sample=True)
        >>> found.means.round(2).tolist(), [(part.round(4).tolist(), own) for part, own in found.parts]
        ([0.4], [([0.005], 2)])
    """
    weights = weights_of(columns)
    of_cells = np.moveaxis(np.tensordot(weights, scores, axes=(1, -4)), 0, -4)  # (..., E, D, M, T)
    means = of_cells.mean(axis=(-3, -2, -1))
    if not is_sample:
        return Contrasts(means, variance_parts(of_cells))
    norms = np.square(weights).sum(axis=1)  # (E,)
    num_arms, num_tables = len(columns), scores.shape[-1]
    freedom = num_arms - columns.shape[1] - 1
    if freedom < 1:
        raise ValueError(f"{columns.shape[1]} effects of {num_arms} arms leave no residual")
    parts = []
    if num_tables > 1:
        of_tables = of_cells.mean(axis=(-3, -2))
        parts.append((of_tables.var(axis=-1, ddof=1) / num_tables, num_tables - 1))
    of_arms = scores.mean(axis=(-3, -2, -1))[..., None]
    parts.append((_residual(of_arms, columns)[..., None] * norms, freedom))
    for axes in SEED_AXES:
        of_seeds = scores.mean(axis=axes)  # (..., A, U)
        num_units = of_seeds.shape[-1]
        if num_units > 1:
            common, more = _between_seeds(of_seeds, of_cells.mean(axis=axes), columns, norms)
            parts += [
                (np.broadcast_to(common, more.shape) / num_units, more.shape[-1] * (num_units - 1)),
                (more / num_units, num_units - 1),
            ]
    return Contrasts(means, parts)


def _between_seeds(
    of_seeds: np.ndarray, effects: np.ndarray, columns: np.ndarray, norms: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How much more effects (..., E, U) differ between seeds than the residuals of scores (..., A, U).

    As variances between single seeds: the mean over all effects (..., 1); and of an effect that is shown to
    differ more than that (F-test), what it has more (..., E), else 0.
    """
    num_effects, num_units = effects.shape[-2:]
    own, freedom = num_units - 1, (len(columns) - num_effects - 1) * (num_units - 1)
    centred = of_seeds - of_seeds.mean(axis=-1, keepdims=True)
    within = _residual(centred, columns)[..., None] / own * norms  # (..., E)
    between = effects.var(axis=-1, ddof=1)
    common = np.maximum((between - within).mean(axis=-1, keepdims=True), 0.0)
    differs = between > stats.f.isf(DIFFERS, own, freedom) * (within + common)
    return common, np.where(differs, between - within - common, 0.0)


class Noisier(NamedTuple):
    """A group of arms whose scores vary more about the regression than those of the others."""

    number: int
    deviation: float  # standard deviation of the group's residuals
    others: float  # of those of all other arms
    p_value: float  # that they vary alike, adjusted for the number of groups


def noisiest(
    scores: np.ndarray, columns: np.ndarray, groups: list[np.ndarray], level: float
) -> Noisier | None:
    """The group of arms that varies most, of those that are shown to vary more than the others.

    Intervals have the residuals of all arms, so one group of this kind widens those of all effects. The
    choice is by the size of the residuals, whatever their sign, so it moves no effect in one direction if
    luck is symmetric. Levene's test in the form of Brown and Forsythe, on the arms' means; adjusted by Holm's
    method.

    Args:
        scores: (A, D, M, T).
        columns: (A, E).
        groups: (A,) each, which arms are in it.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> is_loud = np.repeat([False, True], 20)
        >>> scores = rng.normal(size=40) * np.where(is_loud, 10, 1)
        >>> columns = is_loud[:, None].astype(float)
        >>> found = noisiest(scores.reshape(40, 1, 1, 1), columns, [~is_loud, is_loud], level=0.95)
        >>> found.number, found.p_value < 0.001
        (1, True)
    """
    basis = np.linalg.qr(_with_mean(columns))[0]
    means = scores.mean(axis=(-3, -2, -1))
    residuals = means - basis @ (basis.T @ means)
    free = np.sqrt(np.maximum(1 - np.square(basis).sum(axis=1), 0.0))
    kept = free > 1e-6  # an arm that the regression fits whatever its score has no residual
    residuals, groups = residuals[kept] / free[kept], [group[kept] for group in groups]
    tested = [
        number for number, group in enumerate(groups) if min(group.sum(), (~group).sum()) >= LEAST_GROUP
    ]
    adjusted = holm([float(stats.levene(residuals[groups[i]], residuals[~groups[i]]).pvalue) for i in tested])
    found = [
        Noisier(
            number, residuals[groups[number]].std(ddof=1), residuals[~groups[number]].std(ddof=1), p_value
        )
        for number, p_value in zip(tested, adjusted, strict=True)
    ]
    found = [one for one in found if one.p_value < 1 - level and one.deviation > one.others]
    return max(found, key=lambda one: one.deviation / one.others, default=None)


def differing(scores: np.ndarray, columns: np.ndarray) -> list[tuple[int, int, list[float]]]:
    """The effects of a sample of arms that differ more between seeds than the others do.

    Such an effect has a part of the variance of its own in `contrasts`, with one degree of freedom less than
    there are seeds. So with few seeds its interval is far wider than the others.

    Args:
        scores: (A, D, M, T).
        columns: (A, E).

    Returns:
        Number of the effect; 0 if the seeds are data seeds, 1 if they are model seeds; the effect in each.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> columns = rng.integers(0, 2, size=(40, 8)).astype(float)
        >>> scores = columns[:, [3]] * [0.2, 0.6] + rng.normal(0, 0.01, size=(40, 2))
        >>> [(number, kind, [round(one, 1) for one in effects])
        ...  for number, kind, effects in differing(scores.reshape(40, 2, 1, 1), columns)]
        [(3, 0, [0.2, 0.6])]
    """
    weights = weights_of(columns)
    norms = np.square(weights).sum(axis=1)
    found = []
    for kind, axes in enumerate(SEED_AXES):
        of_seeds = scores.mean(axis=axes)
        if of_seeds.shape[-1] > 1:
            effects = weights @ of_seeds
            more = _between_seeds(of_seeds, effects, columns, norms)[1]
            found += [(int(number), kind, effects[number].tolist()) for number in np.flatnonzero(more)]
    return found


def _residual(values: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Of values (..., A, U), the sum over U of the mean squares that the columns leave."""
    basis = np.linalg.qr(_with_mean(columns))[0]  # (A, 1 + E)
    rest = values - basis @ (basis.T @ values)
    return np.square(rest).sum(axis=(-2, -1)) / (len(columns) - basis.shape[1])


def estimates(found: Contrasts, level: float) -> list[Estimate]:
    """The effects in one study, each with an interval at `level` of its own, not adjusted for their number.

    Examples:
        >>> found = Contrasts(np.array([0.02]), [(np.array([0.01**2]), 12)])
        >>> [effect] = estimates(found, level=0.95)
        >>> [round(end, 4) for end in effect.interval], round(effect.p_value, 3)
        ([-0.0018, 0.0418], 0.069)
    """
    every = []
    for number, mean in enumerate(found.means.tolist()):
        parts = [(part[number], freedom) for part, freedom in found.parts]
        half = float(mean_interval(parts, level)) if parts else float("nan")
        error = float(np.sqrt(sum(part for part, _ in parts))) if parts else float("nan")
        every.append(Estimate(mean, error, (mean - half, mean + half), mean_p_value(mean, parts)))
    return every


def products(columns: np.ndarray, one: list[int], other: list[int]) -> np.ndarray:
    """The columns (A, E) of the interactions of two settings: products of each column of one with each of
    the other.

    Their coefficient is how much larger the effect of one column is at the end of the other than at its
    start.

    Examples:
        >>> products(np.array([[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]]), [0], [1]).tolist()
        [[0.0], [1.0], [0.25]]
    """
    return np.stack([columns[:, i] * columns[:, j] for i in one for j in other], axis=1)


def interaction(
    scores: np.ndarray, columns: np.ndarray, one: list[int], other: list[int], is_sample: bool
) -> Contrasts | None:
    """The interactions of two settings on scores (..., A, D, M, T), next to all main effects; None if the
    arms are too few for them.

    Args:
        one: the columns of one setting; `other` likewise.

    Examples:
        >>> columns = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        >>> scores = np.array([0.0, 0.1, 0.2, 0.5]).reshape(4, 1, 1, 1)
        >>> interaction(scores, columns, [0], [1], is_sample=False).means.round(2).tolist()
        [0.2]
        >>> interaction(scores, columns, [0], [1], is_sample=True)
    """
    both = np.concatenate([columns, products(columns, one, other)], axis=1)
    try:
        found = contrasts(scores, both, is_sample)
    except ValueError:
        return None
    number = columns.shape[1]
    return Contrasts(found.means[..., number:], [(part[..., number:], own) for part, own in found.parts])


def complete_grid(is_there: np.ndarray, keeps_arms: bool = False) -> tuple[np.ndarray, ...]:
    """The indices of each axis of a grid without missing cells, for `np.ix_`.

    The arm, the data seed or the model seed of which the largest share is missing is left out, until nothing
    is missing.

    Args:
        is_there: (A, D, M), which cells have scores.
        keeps_arms: leave out seeds alone: without one of its arms, a factorial design is none.

    Examples:
        >>> is_there = np.ones((4, 3, 1), bool)
        >>> is_there[1, 0], is_there[:, 2] = False, False  # one cell failed, the last seed is not done yet
        >>> [axis.tolist() for axis in complete_grid(is_there)]
        [[0, 2, 3], [0, 1], [0]]
        >>> [axis.tolist() for axis in complete_grid(is_there, keeps_arms=True)]
        [[0, 1, 2, 3], [1], [0]]
    """
    kept = [np.arange(size) for size in is_there.shape]
    while not (grid := is_there[np.ix_(*kept)]).all():
        shares = [
            1 - np.moveaxis(grid, axis, 0).reshape(len(kept[axis]), -1).mean(axis=1) for axis in range(3)
        ]
        first = 1 if keeps_arms else 0
        axis = first + int(np.argmax([share.max() for share in shares[first:]]))
        kept[axis] = np.delete(kept[axis], shares[axis].argmax())
    return tuple(kept)
