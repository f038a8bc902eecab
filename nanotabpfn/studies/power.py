"""Power: the smallest difference that a study can show, from the variances of differences between two arms.

The model of a difference, of a pair of seeds on a table, is a sum: true difference + table + pair + rest.

Axis letters: D data seeds, M model seeds, C cells, T tables, F folds, N draws.

References:
    Searle, Casella, McCulloch, Variance components, Wiley 1992
    Hoeffding, A class of statistics with asymptotically normal distribution, Annals of Mathematical
    Statistics 19 (1948) 293-325
"""

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

from nanotabpfn.studies.effects import DIFFERS

POWER = 0.8
NUM_DRAWS, SEED = 4_000, 0
LARGEST = 10_000  # units that `units_needed` tries


class Components(NamedTuple):
    """Standard deviations of the difference between two arms, in the metric's units.

    Examples:
        >>> Components(tables=0.008, pairs=0.013, rest=0.019).rows
        0.0
    """

    tables: float  # how much more one table gains than another
    pairs: float  # of seeds: the luck of datasets and initial weights, the same for all tables
    rest: float  # of one pair on one table
    rows: float = 0.0  # the part of `tables` that is due to which rows of a table were drawn

    def with_row_samples(self, ratio: float) -> "Components":
        """The components with `ratio` times as many samples of rows of each table.

        >>> round(Components(0.005, 0.01, 0.02, rows=0.003).with_row_samples(4).tables, 4)  # 0.004 stay
        0.0043
        """
        rows = self.rows / np.sqrt(ratio)
        tables = np.sqrt(max(self.tables**2 - self.rows**2, 0.0) + rows**2)
        return self._replace(tables=float(tables), rows=float(rows))


class Design(NamedTuple):
    """The size of a study."""

    num_data: int  # data seeds, or pairs of seeds
    num_model: int  # model seeds; 1 if seeds are paired
    num_tables: int


def components_of(scores: list[np.ndarray]) -> Components:
    """Estimate the components from the scores (D, M, T) of at least two arms, NaN where a cell is missing.

    Products of two cells of different seeds, and squares of their differences, have the variances as means
    (a U-statistic). So it holds for paired and crossed seeds, and where cells are missing. Its mean over
    all pairs of arms is taken. An estimate below 0 is taken as 0.

    Raises:
        ValueError: no two arms have two cells of different seeds in common, or there is one table.

    Examples:
        >>> rng = np.random.default_rng(0)
        >>> luck = rng.normal(size=(2, 50, 1, 1))  # of each arm's seeds, the same for all tables
        >>> scores = list(luck + rng.normal(size=(2, 50, 1, 200)))
        >>> found = components_of(scores)  # of differences, which have twice the variance
        >>> round(found.pairs, 1), round(found.rest, 1), found.tables < 0.2
        (1.4, 1.4, True)
    """
    num_tables = scores[0].shape[2]
    if num_tables < 2:
        raise ValueError(f"scores must be of at least 2 tables, got {num_tables}")
    sums, count = np.zeros(3), 0
    differ = _of_different_seeds(scores[0].shape[:2])
    for one, other in combinations(scores, 2):
        differences = (one - other).reshape(-1, num_tables)  # (C, T)
        there = np.isfinite(differences).all(axis=1)
        means = differences[there].mean(axis=1)  # (C,)
        rest = differences[there] - means[:, None]
        # (C, C); of different cells, the mean is that of `tables`.
        products = rest @ rest.T / (num_tables - 1)
        squares = np.diag(products)
        of_rest = (squares[:, None] + squares[None, :]) / 2 - products
        of_pairs = (means[:, None] - means[None, :]) ** 2 / 2 - of_rest / num_tables
        chosen = differ[np.ix_(there, there)]
        sums += [values[chosen].sum() for values in (products, of_pairs, of_rest)]
        count += int(chosen.sum())
    if not count:
        raise ValueError("scores must be of two arms with two cells of different seeds in common")
    return Components(*np.sqrt(np.maximum(sums / count, 0.0)).tolist())


def rows_component(folds: list[np.ndarray]) -> float:
    """Estimate `rows` from the scores (D, M, T, F) of arms by fold: folds differ by the rows that are in
    them.

    The folds are taken as independent samples of rows, though they share training rows, so it is approximate.
    Tables that lack a score of some fold are left out. As in `components_of`, products of different cells
    count.
    """
    num_folds = folds[0].shape[3]
    total, count = 0.0, 0
    differ = _of_different_seeds(folds[0].shape[:2])
    for one, other in combinations(folds, 2):
        differences = (one - other).reshape(-1, *one.shape[2:])  # (C, T, F)
        there = np.isfinite(differences).any(axis=(1, 2))
        kept = differences[there]
        kept = kept[:, np.isfinite(kept).all(axis=(0, 2))]
        centred = kept - kept.mean(axis=2, keepdims=True)
        products = np.einsum("ctf,dtf->cdt", centred, centred)[differ[np.ix_(there, there)]]
        total, count = total + products.sum() / (num_folds - 1) / num_folds, count + products.size
    return float(np.sqrt(max(total / count, 0.0))) if count else 0.0


def _of_different_seeds(shape: tuple[int, int]) -> np.ndarray:
    """(C, C): whether two cells have no seed in common; a kind of seed of which there is one is left
    aside."""
    data, model = (axis.ravel() for axis in np.indices(shape))
    found = ~np.eye(data.size, dtype=bool)
    for seeds, number in zip((data, model), shape, strict=True):
        if number > 1:
            found &= seeds[:, None] != seeds[None, :]
    return found


def power(difference: float, components: Components, design: Design, level: float) -> float:
    """The probability that the interval of `compare` shows a true difference, with its sign.

    The variances that the interval estimates are drawn, with a fixed seed.

    Args:
        level: of the interval.

    Examples:
        >>> components = Components(tables=0.008, pairs=0.013, rest=0.019)
        >>> [round(power(true, components, Design(6, 1, 13), level=0.95), 1) for true in (0.0, 0.0219, 0.05)]
        [0.0, 0.8, 1.0]
    """
    half, error = _half_and_error(components, design, level)
    if error == 0:
        return float(difference > 0)
    return float(stats.norm.cdf((difference - half) / error).mean())


def smallest_difference(components: Components, design: Design, level: float) -> float:
    """The true difference that is shown with a probability of POWER; infinite with one table and one seed.

    >>> components = Components(tables=0.008, pairs=0.013, rest=0.019)
    >>> f"{smallest_difference(components, Design(6, 1, 13), 0.95):.4f}"
    '0.0219'
    """
    return _smallest(*_half_and_error(components, design, level))


def smallest_effects(
    components: Components, design: Design, norms: list[float], num_arms: int, level: float
) -> list[float]:
    """The true main effects of a random design, each of which is shown with a probability of POWER.

    What a regression on the settings leaves out (interactions, curves) is taken as nothing.

    Args:
        norms: for each effect the sum of the squares of the arms' weights in it.
        num_arms: of the design.

    Examples:
        >>> components = Components(tables=0.008, pairs=0.013, rest=0.019)
        >>> two_groups = [40 * (1 / 20) ** 2] * 10  # of ten settings, 20 arms at each of two levels
        >>> effect, *_ = smallest_effects(components, Design(2, 1, 13), two_groups, 40, level=0.95)
        >>> f"{effect:.4f}", effect < smallest_difference(components, Design(2, 1, 13), 0.95)
        ('0.0076', True)
    """
    num_data, num_model, num_tables = design
    num_cells, num_effects = num_data * num_model, len(norms)
    freedom = num_arms - num_effects - 1
    # An arm has half of the variance of a difference between two.
    tables, pairs, rest, _ = (value**2 / 2 for value in components)
    kinds = [number for number in (num_data, num_model) if number > 1]  # each has an equal share
    of_tables = (tables + rest / num_cells) / num_tables
    of_arms = of_tables + pairs * np.mean([1 / number for number in kinds or [1]])
    found = []
    for norm in norms:
        rng, squares = np.random.default_rng(SEED), np.zeros(NUM_DRAWS)
        for variance, own in ((of_tables, num_tables - 1), (of_arms, freedom)):
            if own > 0:
                draws = rng.chisquare(own, NUM_DRAWS) / own
                squares += norm * variance * draws * stats.t.ppf((1 + level) / 2, own) ** 2
        for number in kinds:  # as effects._seed_parts
            of_seed = pairs / len(kinds) + rest * number / num_cells / num_tables
            own, others = number - 1, (num_effects - 1) * (number - 1)
            draws = [rng.chisquare(own, NUM_DRAWS), rng.chisquare(others, NUM_DRAWS) if others else 0.0]
            between = norm * draws[0] / own
            common = np.mean(norms) * np.maximum(sum(draws) / (own + others) - 1, 0.0)
            differs = between > stats.f.isf(DIFFERS, own, freedom * own) * (norm + common)
            more = np.where(differs, between - norm - common, 0.0)
            for excess, units in ((common, own + others), (more, own)):
                squares += of_seed / number * excess * stats.t.ppf((1 + level) / 2, units) ** 2
        found.append(_smallest(np.sqrt(squares), float(np.sqrt(norm * of_arms))))
    return found


def _smallest(half: np.ndarray, error: float) -> float:
    """The true mean that is above `half` with a probability of POWER.

    Args:
        half: half the width of the interval in N studies.
        error: standard error of the mean that is estimated.
    """
    if not np.isfinite(half).all():
        return float("inf")
    if error == 0:
        return 0.0
    largest = float(half.max() + 10 * error)
    return float(optimize.brentq(lambda d: stats.norm.cdf((d - half) / error).mean() - POWER, 0, largest))


def _half_and_error(components: Components, design: Design, level: float) -> tuple[np.ndarray, float]:
    """Half the width of the interval in N studies, and the standard error of the mean difference."""
    num_data, num_model, num_tables = design
    tables, pairs, rest, _ = (value**2 for value in components)
    # Of crossed seeds, each kind is taken to have half of the variance.
    data, model = (
        (pairs, 0.0) if num_model == 1 else (0.0, pairs) if num_data == 1 else (pairs / 2, pairs / 2)
    )
    parts = [  # (variance of a unit's mean, number of units)
        (tables + rest / (num_data * num_model), num_tables),
        (data + rest / (num_model * num_tables), num_data),
        (model + rest / (num_data * num_tables), num_model),
    ]
    rng = np.random.default_rng(SEED)
    squares, error = np.zeros(NUM_DRAWS), rest / (num_data * num_model * num_tables)
    for (variance, number), own in zip(parts, (tables, data, model), strict=True):
        if number > 1:
            draws = rng.chisquare(number - 1, NUM_DRAWS) / (number - 1)
            squares += variance / number * draws * stats.t.ppf((1 + level) / 2, number - 1) ** 2
            error += own / number
    if max(design) == 1:
        return np.full(NUM_DRAWS, np.inf), float("inf")
    return np.sqrt(squares), float(np.sqrt(error))


def units_needed(difference: Callable[[int], float], wanted: float, now: int) -> int | None:
    """The smallest number of units with which `difference(number)` is at most `wanted`; None if there is
    none up to LARGEST.

    >>> units_needed(lambda number: 1 / number, 0.125, now=4)
    8
    """
    if difference(LARGEST) > wanted:
        return None
    low, high = now, now
    while difference(high) > wanted:
        low, high = high, min(2 * high, LARGEST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if difference(middle) <= wanted else (middle, high)
    return high
