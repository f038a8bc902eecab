"""The statistics of a study: intervals, paired differences, ranks, and verdicts in words.

Tables are the units: the scores of a table are averaged over seeds first, since seeds are repetitions on one
table, not more tables. A claim about priors, rather than about the few models that were trained, must include
the variance of the seeds too: see `compare`.

Axis letters: A arms, D data seeds, M model seeds, T tables, K doses.

References:
    Demsar, Statistical comparisons of classifiers over multiple data sets, JMLR 7 (2006) 1-30
    Benavoli, Corani, Demsar, Zaffalon, Time for a change: a tutorial for comparing multiple classifiers
    through Bayesian analysis, JMLR 18 (2017) 1-36
    Searle, Casella, McCulloch, Variance components, Wiley 1992
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

NUM_RESAMPLES = 10_000
SMALLEST_LOG_P = -34.0
MAX_RANK_CORRELATION = 1 - 1e-9  # Fisher's scale is infinite at 1
SEED = 0  # of the resampling: the same records give the same report


def bootstrap_interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Bias-corrected and accelerated bootstrap interval of the mean of `values` (T,), tables as units.

    With fewer than about ten tables it is too narrow, as every bootstrap is. NaN with fewer than two.

    >>> low, high = bootstrap_interval(np.array([0.1, 0.2, 0.3, 0.4]))
    >>> low < 0.25 < high
    True
    """
    values = np.sort(np.asarray(values, float))  # so that the resampling does not depend on their order
    if len(values) < 2:
        return float("nan"), float("nan")
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=NUM_RESAMPLES, confidence_level=level, rng=np.random.default_rng(SEED)
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


class Comparison(NamedTuple):
    """An arm minus the reference, with the sign such that more is better."""

    seeds: tuple[int, int]  # numbers of data seeds and of model seeds, or of pairs and 1
    tables: np.ndarray  # (T,) differences, means over the seeds
    mean: float
    bootstrap: tuple[float, float]  # tables as units: these trained models, on other tables
    error: float  # standard error with tables, data seeds and model seeds as units
    interval: tuple[float, float]  # models of other seeds, on other tables
    p_value: float  # that the mean is 0, by that interval
    wilcoxon: float  # p-value of the signed-rank test, tables as units
    wins: int
    losses: int


def variance_parts(differences: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The variance of the mean of differences (..., D, M, T) of two arms, as a sum of parts: with tables,
    with data seeds and with model seeds as units.

    Two models trained on one prior differ on all tables together, since one of them learned more. So seeds
    are units too. (Interactions are counted twice, so the sum is rather too large than too small.) Other
    arms have no part in it: they may vary more or less with their seeds.

    With paired seeds M is 1, and the luck of datasets and of initial weights is in one part.

    Returns:
        (variance (...), degrees of freedom) for each kind of unit of which there are at least two.

    Examples:
        >>> differences = np.array([[[0.0, 0.2, 0.4]], [[0.2, 0.4, 0.6]]])  # D = 2, M = 1, T = 3
        >>> [(round(float(part), 4), freedom) for part, freedom in variance_parts(differences)]
        [(0.0133, 2), (0.01, 1)]
    """
    return _parts(differences, (-3, -2), (-2, -1), (-3, -1))


def seed_parts(scores: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The parts of `variance_parts` with data seeds and with model seeds as units.

    Examples:
        >>> len(seed_parts(np.zeros((6, 1, 13))))
        1
    """
    return _parts(scores, (-2, -1), (-3, -1))


def _parts(values: np.ndarray, *all_axes: tuple[int, int]) -> list[tuple[np.ndarray, int]]:
    parts = []
    for axes in all_axes:
        means = values.mean(axis=axes)  # (..., T), (..., D) or (..., M)
        num_units = means.shape[-1]
        if num_units > 1:
            parts.append((means.var(axis=-1, ddof=1) / num_units, num_units - 1))
    return parts


def mean_interval(parts: list[tuple[np.ndarray, int]], level: float) -> np.ndarray:
    """Half the width of an interval of a mean whose variance is the sum of `parts`, each an estimate (...)
    with its degrees of freedom: the root of the sum of the squares of Student's intervals of each. Its
    coverage is at least `level`, whatever the parts' true sizes (Banerjee, Sankhya 22 (1960) 357-358).

    Examples:
        >>> float(mean_interval([(0.01**2, 12)], level=0.95).round(4))  # 0.01 times Student's 2.18
        0.0218
    """
    return np.sqrt(sum(part * stats.t.ppf((1 + level) / 2, own) ** 2 for part, own in parts))


def mean_p_value(mean: float, parts: list[tuple[np.ndarray, int]]) -> float:
    """1 - the level at which `mean_interval` just reaches 0.

    >>> round(mean_p_value(0.02, [(0.01**2, 12)]), 3)  # Student's t of 2 with 12 degrees of freedom
    0.069
    """
    if mean == 0 or not parts:
        return 1.0
    if not any(part > 0 for part, _ in parts):
        return 0.0

    def excess(log_p: float) -> float:
        return mean_interval(parts, 1 - np.exp(log_p)) - abs(mean)

    return float(np.exp(optimize.brentq(excess, SMALLEST_LOG_P, 0))) if excess(SMALLEST_LOG_P) > 0 else 0.0


def compare(differences: np.ndarray, level: float = 0.95) -> Comparison:
    """Compare two arms by their differences (D, M, T), paired by seeds and tables.

    With tables alone as units, a chance difference between a few models would be reported as real; it is, but
    only for these models. For a claim about the priors the variance of the mean has the parts of
    `variance_parts`. With one table, or one seed, its part is missing, and the claim is about that one alone.

    Examples:
        >>> found = compare(np.array([[[0.01, 0.02, 0.03, 0.02]], [[0.02, 0.01, 0.03, 0.04]]]))
        >>> round(found.mean, 4), found.wins, found.losses, found.interval[0] < 0 < found.interval[1]
        (0.0225, 4, 0, True)
    """
    differences = np.asarray(differences, float)
    tables = differences.mean(axis=(0, 1))
    mean = float(tables.mean())
    parts = variance_parts(differences)
    half = float(mean_interval(parts, level)) if parts else float("nan")
    moved = tables[tables != 0]
    return Comparison(
        differences.shape[:2],
        tables,
        mean,
        bootstrap_interval(tables, level),
        float(np.sqrt(sum(part for part, _ in parts))) if parts else float("nan"),
        (mean - half, mean + half),
        mean_p_value(mean, parts),
        float(stats.wilcoxon(moved).pvalue) if len(moved) else 1.0,
        int((tables > 0).sum()),
        int((tables < 0).sum()),
    )


def verdict(arm: str, reference: str, found: Comparison, adjusted: float, level: float, rope: float) -> str:
    """One sentence on a comparison, with its estimate and interval.

    Args:
        adjusted: the comparison's p-value, adjusted for all that were made (Holm).
        rope: smaller differences do not matter.

    Examples:
        >>> found = compare(np.random.default_rng(0).normal(0.05, 0.02, size=(6, 1, 12)))
        >>> verdict("mlp", "linear", found, adjusted=found.p_value, level=0.95, rope=0.01)
        'mlp is better than linear: +0.0518 (+0.0443 to +0.0593).'
    """
    low, high = found.interval
    if np.isnan(found.error):
        return f"{arm} and {reference}: {found.mean:+.4f}, but one table and one seed show nothing."
    alone = ", on this one table alone" if len(found.tables) == 1 else ""
    alone += ", of one training each" if found.seeds == (1, 1) else ""
    span = f"{found.mean:+.4f} ({low:+.4f} to {high:+.4f}{alone})"
    if low <= 0 <= high:
        small = -rope < low and high < rope
        more = f"; a difference of {rope:g} or more is ruled out" if small else ""
        return f"{arm} and {reference}: no difference was shown, {span}{more}."
    direction = "better" if found.mean > 0 else "worse"
    if adjusted >= 1 - level:
        return (
            f"{arm} and {reference}: no difference was shown once the number of comparisons is accounted "
            f"for, {span}; taken alone, {arm} is {direction}."
        )
    small = ", less than the difference that matters" if abs(found.mean) < rope else ""
    return f"{arm} is {direction} than {reference}: {span}{small}."


def shows_difference(found: Comparison, adjusted: float, level: float) -> bool:
    """Whether `verdict` claims a difference.

    Examples:
        >>> found = compare(np.random.default_rng(0).normal(0.05, 0.02, size=(6, 1, 12)))
        >>> [shows_difference(found, adjusted, level=0.95) for adjusted in (0.01, 0.2)]
        [True, False]
    """
    return not found.interval[0] <= 0 <= found.interval[1] and adjusted < 1 - level


def trend(scores: np.ndarray, doses: np.ndarray) -> np.ndarray:
    """The change of scores (K, D, M, T) from the lowest to the highest of K doses, by the least-squares
    line of each cell and table.

    It is a linear contrast of the arms, (D, M, T), so `compare` tests it as it does differences.

    >>> trend(np.array([0.5, 0.6, 0.8]).reshape(3, 1, 1, 1), np.array([0.0, 1.0, 3.0])).round(9).item()
    0.3

    Raises:
        ValueError: all doses are equal.
    """
    if np.ptp(doses) == 0:
        raise ValueError(f"doses must differ, got {doses}")
    centred = np.asarray(doses, float) - np.mean(doses)
    return np.tensordot(centred / np.square(centred).sum() * np.ptp(doses), scores, axes=1)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of x and y (A,), of the pairs without NaN. NaN with fewer than three, or
    where all values of one are equal.

    Examples:
        >>> round(spearman(np.array([1.0, 2.0, 3.0, np.nan]), np.array([2.0, 4.0, 8.0, 0.0])), 9)
        1.0
    """
    there = np.isfinite(x) & np.isfinite(y)
    if there.sum() < 3 or np.ptp(x[there]) == 0 or np.ptp(y[there]) == 0:
        return float("nan")
    return float(stats.spearmanr(x[there], y[there]).statistic)


def rank_correlation(x: np.ndarray, y: np.ndarray, level: float = 0.95) -> tuple[float, tuple[float, float]]:
    """Spearman's rank correlation of x and y (A,), and its interval with arms as units.

    The interval is Fisher's, with the standard error sqrt((1 + r^2 / 2) / (A - 3)) on his scale (Bonett,
    Wright, Psychometrika 65 (2000) 23-28). NaN where all values of one are equal, or with fewer than 4 arms.

    Examples:
        >>> r, (low, high) = rank_correlation(np.arange(12), np.array([1, 0, 2, 3, 5, 4, 6, 7, 9, 8, 10, 11]))
        >>> round(r, 3), round(low, 3), round(high, 3)
        (0.979, 0.901, 0.996)
    """
    r = spearman(x, y) if len(x) > 3 else float("nan")
    if np.isnan(r):
        return r, (r, r)
    bounded = np.clip(r, -MAX_RANK_CORRELATION, MAX_RANK_CORRELATION)
    half = stats.norm.isf((1 - level) / 2) * np.sqrt((1 + r**2 / 2) / (len(x) - 3))
    low, high = np.tanh(np.arctanh(bounded) + np.array([-half, half]))
    return r, (float(low), float(high))


def repeatability(scores: np.ndarray) -> float:
    """The rank correlation that the arms of scores (A, U) would have with the same arms trained with as many
    other seeds: that between two seeds, the mean over all pairs, stepped up to the mean of U seeds
    (Spearman-Brown). 0 if two seeds have none in common; NaN with one seed, or where one has equal arms.

    Examples:
        >>> arms = np.arange(6.0)
        >>> repeatability(np.stack([arms, arms], axis=1)), repeatability(arms[:, None])
        (1.0, nan)
    """
    num_seeds = scores.shape[1]
    if num_seeds == 1:
        return float("nan")
    of_one = np.maximum(0.0, np.mean([spearman(one, other) for one, other in combinations(scores.T, 2)]))
    return float(num_seeds * of_one / (1 + (num_seeds - 1) * of_one))


class Ranks(NamedTuple):
    """Average ranks of several arms over tables; 1 is the best."""

    means: np.ndarray  # (A,)
    friedman: float  # p-value that all arms are alike
    critical_difference: float  # of Nemenyi's test: it finds no difference between closer mean ranks


def average_ranks(scores: np.ndarray, level: float = 0.95) -> Ranks:
    """Ranks of scores (A, T), more is better, with Friedman's test and Nemenyi's critical difference.

    >>> average_ranks(np.array([[0.9, 0.8, 0.7], [0.8, 0.7, 0.6]])).means.tolist()
    [1.0, 2.0]

    Raises:
        ValueError: fewer than two arms or tables.
    """
    num_arms, num_tables = scores.shape
    if num_arms < 2 or num_tables < 2:
        raise ValueError(f"scores must be of at least 2 arms and 2 tables, got {scores.shape}")
    ranks = stats.rankdata(-scores, axis=0)  # (A, T)
    if num_arms == 2:  # scipy's function needs three; with two the test is the sign test
        wins, losses = int((scores[0] > scores[1]).sum()), int((scores[0] < scores[1]).sum())
        friedman = float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    elif np.ptp(ranks) == 0:
        friedman = 1.0
    else:
        friedman = float(stats.friedmanchisquare(*scores).pvalue)
    quantile = float(stats.studentized_range.ppf(level, num_arms, np.inf)) / np.sqrt(2)
    critical = quantile * np.sqrt(num_arms * (num_arms + 1) / (6 * num_tables))
    return Ranks(ranks.mean(axis=1), friedman, float(critical))


def bayesian_signed_rank(differences: np.ndarray, rope: float) -> tuple[float, float, float]:
    """Probabilities that the reference, neither, or the arm is better by `rope` or more, in this order.

    Benavoli's Bayesian signed-rank test of differences (T,): a Dirichlet process over tables, with one
    pseudo-table of difference 0. In each draw, the winner of the three has the largest weight of the pairs'
    means.

    Examples:
        >>> differences = np.array([0.05, 0.04, 0.06, 0.03, 0.05, 0.07])
        >>> worse, neither, better = bayesian_signed_rank(differences, rope=0.01)
        >>> better > 0.95
        True
    """
    z = np.append(0.0, differences)  # (T + 1,)
    means = (z[:, None] + z[None, :]) / 2
    left, right = (means < -rope).astype(float), (means > rope).astype(float)
    # The prior weighs as much as half a table (Benavoli et al., section 4.2.2).
    concentration = np.append(0.5, np.ones(len(differences)))
    w = np.random.default_rng(SEED).dirichlet(concentration, NUM_RESAMPLES)  # (N, T + 1)
    shares = np.stack([((w @ side) * w).sum(axis=1) for side in (left, right)])  # (2, N)
    shares = np.stack([shares[0], 1 - shares.sum(axis=0), shares[1]])  # worse, equivalent, better
    winner = shares.argmax(axis=0)
    worse, neither, better = (float((winner == k).mean()) for k in range(3))
    return worse, neither, better


def variance_components(scores: np.ndarray) -> dict[str, float]:
    """The standard deviation that each factor adds to scores (A, D, M, T), in the metric's units.

    The model is score = mean + prior + table + prior x table + data seed (of each prior) + model seed (of
    each prior) + rest; analysis of variance, expected mean squares solved for the components, those below 0
    taken as 0. A factor with one level has none (NaN).

    Examples:
        >>> scores = np.zeros((2, 3, 1, 4))  # A = 2, D = 3, M = 1, T = 4
        >>> scores[1] = 0.1
        >>> found = variance_components(scores)
        >>> round(found["prior"], 3), round(found["table"], 3), round(found["data seed"], 3)
        (0.071, 0.0, 0.0)
    """
    num_arms, num_data, num_model, num_tables = scores.shape
    of_arm = scores.mean(axis=(1, 2, 3), keepdims=True)
    of_table = scores.mean(axis=(0, 1, 2), keepdims=True)
    of_both = scores.mean(axis=(1, 2), keepdims=True)
    of_data = scores.mean(axis=(2, 3), keepdims=True)
    of_model = scores.mean(axis=(1, 3), keepdims=True)
    whole = scores.mean()
    effects = {  # name: (its effects, degrees of freedom)
        "prior": (of_arm - whole, num_arms - 1),
        "table": (of_table - whole, num_tables - 1),
        "prior x table": (of_both - of_arm - of_table + whole, (num_arms - 1) * (num_tables - 1)),
        "data seed": (of_data - of_arm, num_arms * (num_data - 1)),
        "model seed": (of_model - of_arm, num_arms * (num_model - 1)),
    }
    rest = scores - of_both - of_data - of_model + 2 * of_arm
    freedom = scores.size - 1 - sum(own for _, own in effects.values())
    squares = {
        name: float((np.broadcast_to(effect, scores.shape) ** 2).sum() / own) if own else float("nan")
        for name, (effect, own) in effects.items()
    }
    squares["rest"] = float((rest**2).sum() / freedom) if freedom > 0 else float("nan")
    known = {name: 0.0 if np.isnan(square) else square for name, square in squares.items()}
    e, both = known["rest"], known["prior x table"]
    seeds = sum(known[name] - e for name in ("data seed", "model seed") if not np.isnan(squares[name]))
    variances = {
        "prior": (known["prior"] - both - seeds) / (num_data * num_model * num_tables),
        "table": (known["table"] - both) / (num_arms * num_data * num_model),
        "prior x table": (both - e) / (num_data * num_model),
        "data seed": (known["data seed"] - e) / (num_model * num_tables),
        "model seed": (known["model seed"] - e) / (num_data * num_tables),
        "rest": e,
    }
    return {
        name: float("nan") if np.isnan(squares[name]) else float(np.sqrt(max(0.0, variance)))
        for name, variance in variances.items()
    }
