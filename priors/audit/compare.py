"""How the datasets of two dumps differ: a test of each property, adjusted for their number.

D datasets in a dump, N of them in a sample.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
from scipy.stats import chi2_contingency, ks_2samp

from priors.audit.measure import correlations
from priors.dataset import varying_columns
from priors.dumps.read import Dump
from priors.dumps.schema import finite_records
from priors.dumps.summary import check_open

SAMPLE = 2000
"""Datasets of each dump whose tables are read; they lie evenly in the file."""

LEAST_EXPECTED = 5
"""Rarer names are counted together, if need be with the rarest of the others: the chi-squared distribution
does not hold for smaller counts."""

MOST_EXACT = 200
"""Values with which the Kolmogorov-Smirnov test is exact; with more, it has its limiting distribution."""

LEVELS = (0.05, 0.5, 0.95)

SHARED = ("rows", "features", "training rows / rows")
"""Properties that all datasets of a block share."""

OF_THE_SPLIT = ("smallest class / rows", "out_of_bag_score", "attempts")
"""Properties that depend on the split, and those that begin with `redrawn_`: a draw is rejected if a class is
missing on one side of it."""


class PropertyTest(NamedTuple):
    """A test of whether a property has the same distribution in two dumps."""

    name: str
    test: str
    """Kolmogorov-Smirnov of numbers, chi-squared of names."""
    distance: float
    """From 0, equal, to 1, disjoint: the largest difference of the two cumulative distributions; of names
    the sum of the differences of their shares, halved."""
    p_value: float
    adjusted: float
    """The p-value adjusted for all properties that were tested (`holm`)."""
    counts: tuple[int, int]
    """Values that were compared, of each dump."""
    values: tuple[dict[str, float], dict[str, float]]
    """Of each dump: quantiles by level of numbers, shares by name."""


def compare_dumps(first: Dump, second: Dump) -> list[PropertyTest]:
    """Test every property that both dumps have and that varies, the most different first.

    Properties are those that the dumps store for each dataset, sizes and split, and of a sample of the tables
    classes, balance, correlation of features and missing cells. Damaged records are left out.

    The datasets of a block share sizes and split, so each block counts once for these, and for all properties
    where a dump's sizes vary. Of properties that depend on the split (`OF_THE_SPLIT`) each block counts once,
    by its mean. Numbers with ties, such as counts, make the test conservative: the true p-value
    is smaller.

    Examples:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from priors import PRESETS, generate_dump, open_dump
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     paths = [Path(folder) / "linear.h5", Path(folder) / "gp.h5"]
        ...     for path in paths:
        ...         _ = generate_dump(path, PRESETS[path.stem], num_datasets=64, seed=0)
        ...     with open_dump(paths[0]) as first, open_dump(paths[1]) as second:
        ...         found = compare_dumps(first, second)
        >>> [one.name for one in found if one.adjusted < 0.05]
        ['mean |correlation|']
    """
    check_open("first", first)
    check_open("second", second)
    dumps = first, second
    varies = any(_sizes_vary(dump) for dump in dumps)
    tables = [_of_tables(dump, one_per_block=varies) for dump in dumps]
    both = [_stored(dump, one_per_block=varies) | found for dump, found in zip(dumps, tables, strict=True)]
    tests = [
        _test(name, both[0][name], both[1][name])
        for name in both[0]
        if name in both[1] and both[0][name].dtype.kind == both[1][name].dtype.kind
    ]
    made = [test for test in tests if test is not None]
    adjusted = holm([test.p_value for test in made])
    made = [test._replace(adjusted=value) for test, value in zip(made, adjusted, strict=True)]
    return sorted(made, key=lambda test: (test.adjusted, -test.distance))


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjustment of the p-values of several tests, in their order: the probability of any wrong claim
    at a level stays below that level.

    >>> holm([0.01, 0.5, 0.04])
    [0.03, 0.5, 0.08]
    """
    order = np.argsort(p_values)
    adjusted, largest = np.empty(len(p_values)), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted.tolist()


def _sizes_vary(dump: Dump) -> bool:
    return bool(np.ptp(dump.num_features) or np.ptp(dump.num_datapoints))


def _one_per_block(dump: Dump) -> slice:
    return slice(None, None, dump.block_size or 1)


def _stored(dump: Dump, one_per_block: bool) -> dict[str, np.ndarray]:
    """Sizes, split and stored properties by name, (N,) numbers or names."""
    firsts = _one_per_block(dump)
    chosen = firsts if one_per_block else slice(None)
    sizes = (dump.num_datapoints, dump.num_features, dump.single_eval_pos / dump.num_datapoints)
    found = {name: np.asarray(of, np.float64)[firsts] for name, of in zip(SHARED, sizes, strict=True)}
    for name in dump.properties:
        values = dump.read_property(name)[chosen]
        found[name] = values if values.dtype.kind == "O" else np.asarray(values, np.float64)
    return found if one_per_block else _by_block(found, dump, np.arange(len(dump)))


def _by_block(found: dict[str, np.ndarray], dump: Dump, records: np.ndarray) -> dict[str, np.ndarray]:
    """`found` with the means of blocks for numbers that depend on the split.

    Args:
        records: (N,) numbers of the datasets that the values are of.
    """
    blocks = records // (dump.block_size or 1)
    _, block, sizes = np.unique(blocks, return_inverse=True, return_counts=True)
    means = {
        name: np.bincount(block, values) / sizes
        for name, values in found.items()
        if (name in OF_THE_SPLIT or name.startswith("redrawn_")) and values.dtype.kind == "f"
    }
    return found | means


def _of_tables(dump: Dump, one_per_block: bool) -> dict[str, np.ndarray]:
    """What the tables of a sample are like, (N,) by name; NaN where a dataset lacks the property."""
    records = np.arange(len(dump))[_one_per_block(dump) if one_per_block else slice(None)]
    if len(records) > SAMPLE:
        records = records[np.linspace(0, len(records) - 1, SAMPLE).astype(np.int64)]
    rows, sound = [], []
    for record in records:
        x, y = dump.read(record, record + 1)
        features, datapoints = dump.num_features[record], dump.num_datapoints[record]
        if not finite_records(x, y, [features], [datapoints], dump.allow_missing)[0]:
            continue
        x, y = x[0, :datapoints, :features].astype(np.float64), y[0, :datapoints]
        pairs = correlations(x[:, varying_columns(x)])
        row = {
            "mean |correlation|": pairs[np.triu_indices_from(pairs, 1)].mean() if len(pairs) > 1 else np.nan,
            "missing cells": np.isnan(x).mean(),
        }
        if dump.problem_type == "classification":
            counts = np.unique(y, return_counts=True)[1]
            row |= {"classes": len(counts), "smallest class / rows": counts.min() / datapoints}
        rows.append(row)
        sound.append(record)
    found = {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
    return found if one_per_block or not rows else _by_block(found, dump, np.array(sound))


def _test(name: str, first: np.ndarray, second: np.ndarray) -> PropertyTest | None:
    """The test of one property, not yet adjusted; None if there is nothing to compare."""
    if first.dtype.kind == "O":
        return _test_names(name, first, second)
    first, second = (values[np.isfinite(values)] for values in (first, second))
    if min(len(first), len(second)) < 2 or np.ptp(np.concatenate([first, second])) == 0:
        return None
    is_small = max(len(first), len(second)) <= MOST_EXACT
    found = ks_2samp(first, second, method="exact" if is_small else "asymp")
    values = tuple(
        {f"{level:.0%}": float(value) for level, value in zip(LEVELS, np.quantile(of, LEVELS), strict=True)}
        for of in (first, second)
    )
    return PropertyTest(
        name,
        "Kolmogorov-Smirnov",
        float(found.statistic),
        float(found.pvalue),
        np.nan,
        (len(first), len(second)),
        values,
    )


def _test_names(name: str, first: np.ndarray, second: np.ndarray) -> PropertyTest | None:
    counts = Counter(first), Counter(second)
    names = sorted({*counts[0], *counts[1]})
    table = np.array([[count[one] for one in names] for count in counts], np.float64)  # (2, names)
    shares = table / table.sum(axis=1, keepdims=True)
    expected = table.sum(axis=0) * (table.sum(axis=1) / table.sum()).min()
    rare = expected < LEAST_EXPECTED
    if 0 < expected[rare].sum() < LEAST_EXPECTED and not rare.all():  # still too few: with the next one
        rare |= expected == expected[~rare].min()
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return None
    return PropertyTest(
        name,
        "chi-squared",
        float(np.abs(shares[0] - shares[1]).sum() / 2),
        float(chi2_contingency(table, correction=False).pvalue),
        np.nan,
        (len(first), len(second)),
        tuple(dict(zip(names, of.tolist(), strict=True)) for of in shares),
    )
