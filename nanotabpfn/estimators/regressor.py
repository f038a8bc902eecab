"""NanoTabPFNRegressor: the scikit-learn interface of a model trained for regression."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import RegressorMixin
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d

from nanotabpfn.estimators.base import SHIPPED, TableEstimator, check_num_members
from nanotabpfn.estimators.members import bin_log_probabilities
from nanotabpfn.model.architecture import NanoTabPFNModel
from nanotabpfn.model.bins import log_density, mean, standardize_targets, target_statistics
from nanotabpfn.model.bins import quantiles as quantiles_of

SHIPPED_REGRESSOR = SHIPPED / "regressor.safetensors"
"""The model of `NanoTabPFNRegressor()`; its card is regressor.md in the same folder."""
ENSEMBLE_SIZE = 1
"""More members have gained nothing on real tables so far (docs/regression.md)."""

CONSTANT_DEVIATION = 8 * np.finfo(np.float64).eps
"""Standard deviation of targets that vary by rounding alone, in units of the largest one's power of 2."""
LARGEST = np.finfo(np.float64).max

OUTPUTS = ("mean", "median", "quantiles")
QUANTILES = (0.1, 0.5, 0.9)


class NanoTabPFNRegressor(RegressorMixin, TableEstimator):
    """Predicts a real target of a table as it comes, as a distribution, by a trained NanoTabPFNModel.

    Numbers, text, categories, booleans, dates, missing cells and infinities are encoded inside, fitted on the
    training rows alone (`encoding.py`); the distributions that several views of the table give are averaged
    (`members.py`). `fit` takes the training rows through the model once and keeps what test rows need of
    them. It works on a copy of the model: what happens to `model` afterwards changes nothing until the next
    `fit`.

    A target that does not vary is predicted as itself, by every output.

    Args:
        model: a trained model with `bin_edges`, its file, or the directory of its run; None takes the one
            that ships with the package (`nanotabpfn/shipped/regressor.md`).
        device: where to compute; None or "auto": a GPU if there is one.
        n_estimators: members of the ensemble; None: 1, which reads all features, however many, and gets a
            table of finite numbers as it is. Members that differ are at most 4, the views of the
            features, unless each reads only some of many features.
        random_state: an int, a numpy Generator or None (new draws each time), of the ensemble.
        na_values: text that marks a missing cell, in all columns. None: the usual marks such as "?" and
            "N/A" in columns of numbers (`cell_parsing.NA_VALUES`).

    Attributes:
        n_features_in_: number of features seen in `fit`.
        feature_names_in_: their names, where X has names; `predict` finds columns by them in any order.
        model_: the model as it was in `fit`, on the device.
        members_: the form of the table that each member of the ensemble gets.
        unit_: the power of 2 in whose units targets are computed, so that none is too large or too small.
        mean_: of the training targets, in these units.
        deviation_: their standard deviation, in these units.

    >>> from nanotabpfn.model.bins import standard_edges
    >>> model = NanoTabPFNModel(8, 2, 8, 1, 20, bin_edges=standard_edges(20))
    >>> regressor = NanoTabPFNRegressor(model, "cpu").fit([[1.0], [2.0], [3.0]], [10.0, 20.0, 30.0])
    >>> regressor.predict([[1.5], [9.0]], output="quantiles", quantiles=[0.1, 0.9]).shape
    (2, 2)
    """

    problem_type = "regression"
    shipped_model = SHIPPED_REGRESSOR
    ensemble_size = ENSEMBLE_SIZE

    def __init__(
        self,
        model: NanoTabPFNModel | str | Path | None = None,
        device: str | torch.device | None = None,
        *,
        n_estimators: int | None = None,
        random_state: int | np.random.Generator | None = 0,
        na_values: Sequence[str] | None = None,
    ):
        self.model = model
        self.device = device
        self.n_estimators = n_estimators
        self.random_state = random_state
        self.na_values = na_values

    def fit(self, X: Any, y: Any) -> "NanoTabPFNRegressor":
        """Take the training rows through the model.

        Args:
            X: (T, F) frame of pandas, polars or pyarrow, or array; at least two rows.
            y: (T,) finite numbers.

        Raises:
            ValueError: input that does not fit together, targets that are no finite numbers, fewer than two
                rows, a parameter out of its range, a model of classification.
            TypeError: cells that are neither text nor number nor date; a model of another kind.
            CheckpointError: a file that holds no model.
        """
        with self._fitting():
            self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> None:
        num_members = check_num_members(self.n_estimators, self.model, self.ensemble_size)
        columns = self._read_training_table(X, y)
        y = _read_targets(y)
        check_consistent_length(columns[0].cells, y)
        if len(y) < 2:
            raise ValueError(f"X and y must have at least 2 rows, got {len(y)} sample")
        device = self._load_model()
        targets = self._fit_targets(y)  # (T,)
        x = self._encode(columns)  # (T, G)
        self.members_ = self._draw_members(x, num_members)
        self._fit_ensemble(x, np.tile(targets, (len(self.members_), 1)), device)

    def predict(
        self,
        X: Any,
        output: Literal["mean", "median", "quantiles"] = "mean",
        quantiles: Sequence[float] | None = None,
    ) -> np.ndarray:
        """A figure of the distribution of each row's target.

        Args:
            X: (N, F).
            output: its `mean`, the best guess for squared errors; its `median`, for absolute ones; or its
                `quantiles`.
            quantiles: (Q,) probabilities above 0 and below 1, for `output="quantiles"`; None: 0.1, 0.5 and
                0.9.

        Returns:
            (N,), or (N, Q) for `quantiles`.

        Raises:
            ValueError: an unknown output, a probability out of range, quantiles for another output.
        """
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {output!r}")
        if quantiles is not None and output != "quantiles":
            raise ValueError(f'quantiles need output="quantiles", got output={output!r}')
        quantiles = QUANTILES if quantiles is None else quantiles
        probabilities = np.asarray([0.5] if output == "median" else quantiles, dtype=np.float64)
        if probabilities.ndim != 1 or not ((probabilities > 0) & (probabilities < 1)).all():
            raise ValueError(f"quantiles must be a list of numbers above 0 and below 1, got {quantiles!r}")
        logits, edges = self._distribution(X)
        if output == "mean":
            found = mean(logits, edges)
        else:
            found = quantiles_of(logits, edges, torch.from_numpy(probabilities))
            found = found.squeeze(1) if output == "median" else found
        with np.errstate(over="ignore"):  # targets near the largest number there is: cut
            predicted = (found.numpy() * self.deviation_ + self.mean_) * self.unit_
        return predicted.clip(-LARGEST, LARGEST)

    def log_density(self, X: Any, y: Any) -> np.ndarray:
        """Log of the predicted density at y (N,) for each row of X (N, F), in units of 1 / y.

        Raises:
            ValueError: input that does not fit together, targets that are no finite numbers.
        """
        logits, edges = self._distribution(X)
        y = _read_targets(y)
        check_consistent_length(logits, y)
        with np.errstate(over="ignore"):  # infinitely far from the training targets, of density 0
            z = (y / self.unit_ - self.mean_) / self.deviation_
        densities = log_density(logits, edges, torch.from_numpy(z)).numpy()
        return densities - np.log(self.deviation_) - np.log(self.unit_)

    def _fit_targets(self, y: np.ndarray) -> np.ndarray:
        """The standardized targets (T,), which the model gets; sets `unit_`, `mean_` and `deviation_`."""
        self.unit_ = np.ldexp(1.0, np.frexp(np.abs(y).max())[1] - 1)
        targets = torch.from_numpy(y / self.unit_).unsqueeze(0)  # (1, T), exact, below 2
        centre, deviation = target_statistics(targets)
        self.mean_, self.deviation_ = centre.item(), deviation.item()
        z = standardize_targets(targets, len(y)).squeeze(0).numpy()
        if np.ptp(z) < 0.5:  # their standard deviation is 1, unless they vary by rounding alone
            self.deviation_ = CONSTANT_DEVIATION
        return z

    def _distribution(self, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Log probabilities (N, K); edges (K + 1,) in units of the targets' standard deviation; float64."""
        return bin_log_probabilities(self._outputs(X)), self.model_.bin_edges.cpu().double()


def _read_targets(y: Any) -> np.ndarray:
    """(N,) float64, finite.

    Raises:
        ValueError: targets that are missing, infinite, complex, dates or text.
    """
    if isinstance(y, np.ma.MaskedArray):
        y = np.where(np.ma.getmaskarray(y), None, y.data.astype(object))
    y = column_or_1d(np.asarray(y), warn=True)
    if y.dtype.kind == "O":
        y = np.array([np.nan if str(cell) in ("None", "<NA>") else cell for cell in y])
        try:
            y = y.astype(np.float64) if y.dtype.kind == "O" else y  # Decimal, fractions, huge integers
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"y must hold finite numbers: {error}") from error
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported: y must hold real numbers, got {y.dtype}")
    if y.dtype.kind not in "biuf":
        raise ValueError(f"y must hold numbers, got {y.dtype}: {str(y[:3].tolist())[:60]}")
    y = y.astype(np.float64)
    assert_all_finite(y, input_name="y")
    return y
