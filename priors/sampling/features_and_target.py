"""The features and the target of a dataset: fitted on training rows, and applied to counterfactuals too."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from priors.config import PriorConfig
from priors.families.classes import has_every_class
from priors.families.missingness import MISSING_KINDS
from priors.sampling.column_treatments import (
    ColumnTreatment,
    Outliers,
    Scale,
    clipped,
    draw_outliers,
    fit_codes,
    fit_rounding,
    fit_scale,
    fit_warp,
    fitted_columns,
    with_noise_share,
)
from priors.sampling.own_families import find_family
from priors.sampling.ranges_and_weights import sample_name
from priors.sampling.scm import all_finite, standardized
from priors.streams import draw_states, generator_of

CLASS_DRAWS = 20
"""Times that classes are drawn for the values of one target until each occurs on both sides."""
MASK_DRAWS = 20
"""Times that missing cells are drawn for one table until each column varies among the training rows."""


@dataclass
class Classifier:
    """The target's converter: each class has a value of its own, in the order of the classes or in none.

    Examples:
        >>> from priors.families.classes import CLASS_METHODS
        >>> values, rng = np.arange(8, dtype=np.float32)[[0, 7, 1, 6, 2, 5, 3, 4]], np.random.default_rng(0)
        >>> halves = CLASS_METHODS["balanced_cuts"]
        >>> classifier = Classifier(halves, num_classes=2, num_train=4, is_ordered=True)
        >>> classifier(values, rng, values).tolist()
        [-1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0]
    """

    method: Callable
    """Of `priors.families.classes.CLASS_METHODS`."""
    num_classes: int
    num_train: int
    is_ordered: bool
    num_redrawn: int = 0
    """Classes that the last values refused because one did not occur among the training or the test rows."""
    classes: np.ndarray | None = None
    """(K,) the value of each class of the last values without intervention, ascending; None if not all occur
    on both sides."""

    def __call__(self, values: np.ndarray, rng: np.random.Generator, reference: np.ndarray) -> np.ndarray:
        """The value of its class for each row (R,).

        Args:
            reference: (R,) values without intervention: their training rows decide the cuts, and classes are
                drawn again until each occurs on both sides of them.
        """
        is_factual = values is reference
        if is_factual:
            self.num_redrawn, self.classes = 0, None
        if not all_finite(values):
            return np.full_like(values, np.nan)
        value_of = rng.standard_normal(self.num_classes, dtype=np.float32)
        if self.is_ordered:
            value_of.sort()
        value_of, training = standardized(value_of), reference[: self.num_train]
        for attempt in range(CLASS_DRAWS):
            [state] = draw_states(rng, 1)
            codes = self.method(reference, self.num_classes, training, generator_of(state))
            if has_every_class(codes, self.num_classes, self.num_train):
                if is_factual:
                    self.classes = np.sort(value_of)
                break
            if attempt == 0 and len(np.unique(training)) < self.num_classes:
                break  # no cuts can help: the caller refuses the values
            self.num_redrawn += is_factual
        if not is_factual:
            codes = self.method(values, self.num_classes, training, generator_of(state))
        return value_of[codes]


class Target(NamedTuple):
    """A target column and what turns the values of its node into it."""

    y: np.ndarray
    """(R,) int64 classes, or float32."""
    apply: Callable[[np.ndarray], np.ndarray]
    """Counterfactual values (R,) of the target's node -> (R,), with the same label noise."""


def fit_target(
    config: PriorConfig,
    values: np.ndarray,
    classes: np.ndarray | None,
    num_train: int,
    rng: np.random.Generator,
) -> Target | None:
    """The target of the values (R,) of its node: classes by the order of their values, or real.

    Args:
        classes: (K,) the value of each class, ascending, of which each is on both sides; None in regression.

    Returns:
        None if values are not finite, classes have equal values, or real values do not vary among the
        training rows.

    Examples:
        >>> values, rng = np.float32([0, 2, 7]), np.random.default_rng(0)
        >>> target = fit_target(PriorConfig(problem_type="regression"), values, None, num_train=2, rng=rng)
        >>> target.y.tolist(), target.apply(np.float32([1, 1, 1])).tolist()
        ([-1.0, 1.0, 6.0], [0.0, 0.0, 0.0])
    """
    if not all_finite(values):
        return None
    noise = config.label_noise.at(rng.random())
    if config.problem_type == "regression":
        return _fit_real_target(values, noise, num_train, config.clip, rng)
    is_noisy = rng.random(len(values)) < noise
    rows = _exchanged_within_sides(is_noisy, num_train, rng) if noise > 0 else slice(None)

    def apply(values: np.ndarray) -> np.ndarray:
        return classes.searchsorted(values[rows])

    return Target(apply(values), apply) if (classes[1:] > classes[:-1]).all() else None


def _fit_real_target(
    values: np.ndarray, noise_share: float, num_train: int, clip: float, rng: np.random.Generator
) -> Target | None:
    """The real target; of its variance, `noise_share` comes from other rows of the same side."""
    scale = fit_scale(values[None], num_train)
    if scale is None:
        return None
    noise = None
    if noise_share > 0:
        everywhere = np.ones(len(values), bool)
        noise = scale.apply(values[None])[0][_exchanged_within_sides(everywhere, num_train, rng)]

    def mixed(values: np.ndarray) -> np.ndarray:
        y = scale.apply(values[None])
        return y if noise is None else with_noise_share(y[0], noise, noise_share)[None]

    of_mixed = fit_scale(mixed(values), num_train)
    if of_mixed is None:
        return None

    def apply(values: np.ndarray) -> np.ndarray:
        return clipped(of_mixed.apply(mixed(values))[0], clip)

    return Target(apply(values), apply)


def _exchanged_within_sides(is_chosen: np.ndarray, num_train: int, rng: np.random.Generator) -> np.ndarray:
    """Row numbers (R,) in which the chosen training rows are permuted, and the chosen test rows."""
    rows, chosen = np.arange(len(is_chosen)), is_chosen.nonzero()[0]
    num_chosen_train = np.count_nonzero(is_chosen[:num_train])
    for side in (chosen[:num_chosen_train], chosen[num_chosen_train:]):
        rows[side] = rng.permutation(side)
    return rows


class Features(NamedTuple):
    """The features of a dataset, and how the values of their nodes became columns."""

    x: np.ndarray
    """(R, F) float32."""
    is_missing: np.ndarray | None
    """(F, R)"""
    treatments: list[ColumnTreatment | None]
    outliers: Outliers | None
    draw_missing: Callable[[np.ndarray], np.ndarray] | None
    """Columns (F, R) -> missing cells (F, R); equal columns give equal cells."""
    scale: Scale
    clip: float

    def apply(self, values: np.ndarray, is_missing: np.ndarray | None = None) -> np.ndarray:
        """The columns (R, F) of counterfactual values (F, R), with the same treatment.

        Args:
            is_missing: (F, R); by default the missing cells follow from the values.
        """
        columns = _treated(values, self.treatments, self.outliers)
        if is_missing is None and self.draw_missing is not None:
            is_missing = self.draw_missing(columns)
        return _as_table(self.scale.apply(columns), is_missing, self.clip)


def fit_features(
    config: PriorConfig,
    values: np.ndarray,
    is_categorical: list[bool],
    num_train: int,
    rng: np.random.Generator,
) -> Features | None:
    """The columns of the values (F, R) float32 of their nodes: warped, rounded, coded, cut, scaled, clipped.

    Returns:
        None if a column does not vary among the training rows, or is another column.

    Examples:
        >>> values, rng = np.float32([[0, 2, 7], [3, 3, 4]]), np.random.default_rng(0)
        >>> fit_features(PriorConfig(), values, [False, False], 2, rng)  # equal in the training rows
        >>> fit_features(PriorConfig(), values, [False, False], 3, rng).x.shape
        (3, 2)
    """
    shares = config.warp_fraction, config.quantized_fraction, config.outlier_fraction, config.missing_fraction
    warped, quantized, outlier_share, missing_share = [
        share.at(uniform) for share, uniform in zip(shares, rng.random(4).tolist(), strict=True)
    ]
    outlier_state, missing_state = draw_states(rng, 2)
    treatments = _fit_treatments(values, is_categorical, warped, quantized, num_train, rng)
    columns = _treated(values, treatments, None)
    outliers = None
    if outlier_share > 0:
        is_real = [not categorical for categorical in is_categorical]
        outliers = draw_outliers(columns, is_real, outlier_share, num_train, generator_of(outlier_state))
        columns = np.where(outliers.is_outlier, outliers.values, columns)
    fitted = fitted_columns(columns, num_train)
    if fitted is None:
        return None
    scale, scaled = fitted
    is_missing = draw_missing = None
    if missing_share > 0:
        drawn = _fit_missing(config, columns, missing_share, num_train, generator_of(missing_state))
        if drawn is None:
            return None
        draw_missing, is_missing, scale = drawn
        scaled = scale.apply(columns)
    x = _as_table(scaled, is_missing, config.clip)
    return Features(x, is_missing, treatments, outliers, draw_missing, scale, config.clip)


def _fit_treatments(
    values: np.ndarray,
    is_categorical: list[bool],
    warped: float,
    quantized: float,
    num_train: int,
    rng: np.random.Generator,
) -> list[ColumnTreatment | None]:
    """A treatment of each column; None leaves it.

    Args:
        warped: share of the real columns that are warped.
        quantized: share of the real columns that are rounded.
    """
    if warped == quantized == 0 and not any(is_categorical):
        return [None] * len(values)
    chances = rng.random((len(values), 2)).tolist()
    states = draw_states(rng, len(values))
    treatments: list[ColumnTreatment | None] = []
    for column, categorical, chance, state in zip(values, is_categorical, chances, states, strict=True):
        steps = [fit_codes] if categorical else []
        if not categorical and chance[0] < warped:
            steps.append(fit_warp)
        if not categorical and chance[1] < quantized:
            steps.append(fit_rounding)
        treatments.append(_fit_steps(steps, column, num_train, state) if steps else None)
    return treatments


def _fit_steps(
    steps: list[Callable], column: np.ndarray, num_train: int, state: np.ndarray
) -> ColumnTreatment:
    """Treatments one after the other, each fitted to what the one before gives."""
    rng, fitted = generator_of(state), []
    for fit in steps:
        fitted.append(fit(column, num_train, rng))
        column = fitted[-1](column)

    def apply(column: np.ndarray) -> np.ndarray:
        for treatment in fitted:
            column = treatment(column)
        return column

    return apply


def _fit_missing(
    config: PriorConfig, columns: np.ndarray, share: float, num_train: int, rng: np.random.Generator
) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, Scale] | None:
    """Missing cells of columns (F, R) that leave every column with training rows that vary."""
    kind = find_family(MISSING_KINDS, sample_name(config.missing_kinds, rng))
    for _ in range(MASK_DRAWS):
        [state] = draw_states(rng, 1)

        def draw(columns: np.ndarray, state: np.ndarray = state) -> np.ndarray:
            return kind(columns.T, share, num_train, generator_of(state)).T

        is_missing = draw(columns)
        scale = fit_scale(columns, num_train, is_missing)
        if scale is not None:
            return draw, is_missing, scale
    return None


def _treated(
    values: np.ndarray, treatments: list[ColumnTreatment | None], outliers: Outliers | None
) -> np.ndarray:
    """Columns (F, R) float32; the values themselves where nothing changes them."""
    columns = values
    if any(treatments):
        columns = values.copy()
        for row, treatment in zip(columns, treatments, strict=True):
            if treatment is not None:
                row[:] = treatment(row)
    return columns if outliers is None else np.where(outliers.is_outlier, outliers.values, columns)


def _as_table(scaled: np.ndarray, is_missing: np.ndarray | None, clip: float) -> np.ndarray:
    """Scaled columns (F, R), which change, as a table (R, F)."""
    clipped(scaled, clip)
    if is_missing is not None:
        scaled[is_missing] = np.nan
    return scaled.T
