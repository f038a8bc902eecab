"""The table of a dataset: from the values of nodes to the target's classes and the columns."""

from collections.abc import Callable

import numpy as np

from priors.config import PriorConfig
from priors.families.classes import has_every_class
from priors.families.missingness import MISSING_KINDS
from priors.registry import lookup
from priors.sampling.draws import from_range, sample_name
from priors.sampling.scm import all_finite, standardized
from priors.sampling.table import add_outliers, category_codes, quantize, scale_columns, warp


def classify(
    method: Callable,
    num_classes: int,
    num_train: int,
    ordered: bool,
    values: np.ndarray,
    rng: np.random.Generator,
    reference: np.ndarray,
) -> np.ndarray:
    """The target's converter: each class has a value of its own, in the order of the classes or in none.

    Args:
        reference: (R,) values without intervention, whose training rows decide the cuts.
    """
    if not all_finite(values):
        return np.full_like(values, np.nan)
    of_class = rng.standard_normal(num_classes, dtype=np.float32)
    if ordered:
        of_class.sort()
    return standardized(of_class)[method(values, num_classes, reference[:num_train], rng)]


def target_column(
    config: PriorConfig, values: np.ndarray, num_classes: int, num_train: int, rng: np.random.Generator
) -> np.ndarray | None:
    """The target column (R,): classes by the order of their values, or real; None if it is degenerate.

    Rows past the config's are a twin's: they get what the dataset's own decide.
    """
    if not all_finite(values):
        return None
    num_rows = config.num_datapoints
    noise = from_range(config.label_noise, rng.random())
    if noise > 0:  # random rows exchange their targets, which keeps the shares of the classes
        chosen = np.flatnonzero(rng.random(num_rows) < noise)
        exchanged, values = rng.permutation(chosen), values.copy()
        for world in values.reshape(-1, num_rows):
            world[chosen] = world[exchanged]
    if config.problem_type == "regression":
        y = scale_columns(values[:, None], num_train)
        return None if y is None else y[:, 0]
    ordered = np.sort(values[:num_rows])
    of_class = np.append(ordered[:1], ordered[1:][ordered[1:] != ordered[:-1]])
    if len(of_class) < num_classes:
        return None
    y = of_class.searchsorted(values)
    return y if has_every_class(y[:num_rows], num_classes, num_train) else None


def feature_columns(
    config: PriorConfig,
    values: list[np.ndarray],
    categorical: list[bool],
    num_train: int,
    rng: np.random.Generator,
) -> np.ndarray | None:
    """The features (R, F) from their nodes' values: warped, rounded, coded, scaled; None if degenerate.

    Rows past the config's are a twin's: they get what the dataset's own decide.
    """
    num_rows = config.num_datapoints
    shares = config.warp_fraction, config.quantized_fraction, config.outlier_fraction, config.missing_fraction
    warped, quantized, outliers, missing = map(from_range, shares, rng.random(4).tolist())
    chances = rng.random((len(values), 2)).tolist()
    columns = []
    for column, is_category, (warp_chance, quantize_chance) in zip(values, categorical, chances, strict=True):
        if is_category:
            column = category_codes(column, rng, num_rows)
        else:
            if warp_chance < warped:
                column = warp(column, num_train, rng)
            if quantize_chance < quantized:
                column = quantize(column, num_train, rng)
        columns.append(column)
    x = np.array(columns).T  # (R, F)
    if outliers > 0:
        x = add_outliers(x, outliers, num_train, rng)
    x = scale_columns(x, num_train, num_rows)
    if x is not None and missing > 0:
        kind = lookup(MISSING_KINDS, sample_name(config.missing_kinds, rng))
        is_missing = kind(x[:num_rows], missing, num_train, rng)
        for start in range(0, len(x), num_rows):
            x[start : start + num_rows][is_missing] = np.nan
        if np.isnan(x[:num_train]).all(axis=0).any():
            return None
    return x
