"""NanoTabPFNRegressor: the scikit-learn interface of a model trained for regression."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from nanotabpfn.bins import log_density, mean, target_statistics
from nanotabpfn.bins import quantiles as quantiles_of
from nanotabpfn.checkpoint import load_model
from nanotabpfn.model import NanoTabPFNModel, get_default_device

SHIPPED_MODEL = Path(__file__).parent / "models" / "regressor.safetensors"
"""What `NanoTabPFNRegressor()` loads; regressor.md beside it says how it was made."""

OUTPUTS = ("mean", "median", "quantiles")


class NanoTabPFNRegressor(RegressorMixin, BaseEstimator):
    """Predicts a real target of a numeric table, as a distribution, with a trained NanoTabPFNModel.

    `fit` takes the training rows through the model once and keeps what test rows need of them. It works on a
    copy of the model: what happens to `model` afterwards changes nothing until the next `fit`.

    Args:
        model: a trained model with `bin_edges`, or the file or run that holds one; by default the one that
            ships with the package.
        device: where to compute; `get_default_device()` by default.

    Attributes:
        n_features_in_: number of features seen in `fit`.
        model_: the model as it was in `fit`, on the device.
        mean_, deviation_: of the training targets; the model works in units of them.
    """

    def __init__(
        self,
        model: NanoTabPFNModel | str | Path | None = None,
        device: str | torch.device | None = None,
    ):
        self.model = model
        self.device = device

    def fit(self, X, y) -> "NanoTabPFNRegressor":
        """Take the training rows through the model.

        Args:
            X: (T, F) finite numbers.
            y: (T,) finite numbers.

        Raises:
            ValueError: input that is not finite or does not fit together, or a model of classification.
            CheckpointError: a file that holds no model.
        """
        X, y = validate_data(self, X, y, dtype=np.float32, y_numeric=True)
        model = self.model
        if not isinstance(model, NanoTabPFNModel):
            model = load_model(SHIPPED_MODEL if model is None else model)
        if model.problem_type != "regression":
            raise ValueError("model must be one trained for regression, got one of classification")
        device = torch.device(self.device or get_default_device())
        self.model_ = copy.deepcopy(model).to(device).eval()
        targets = torch.from_numpy(y.astype(np.float64)).unsqueeze(0)  # (1, T)
        centre, deviation = target_statistics(targets)
        self.mean_, self.deviation_ = centre.item(), deviation.item()
        self.training_rows_ = self.model_.encode_training(
            torch.tensor(X, device=device).unsqueeze(0),  # (1, T, F)
            ((targets - centre) / deviation).float().to(device),
        )
        return self

    def predict(
        self,
        X,
        output: Literal["mean", "median", "quantiles"] = "mean",
        quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    ) -> np.ndarray:
        """What the distribution of each row's target says.

        Args:
            X: (N, F).
            output: its `mean`, the best guess for squared errors; its `median`, for absolute ones; or its
                `quantiles`.
            quantiles: (Q,) probabilities above 0 and below 1, for `output="quantiles"`.

        Returns:
            (N,), or (N, Q) for `quantiles`.

        Raises:
            ValueError: an unknown output, a probability out of range.
        """
        if output not in OUTPUTS:
            raise ValueError(f"output must be one of {', '.join(OUTPUTS)}, got {output!r}")
        probabilities = np.asarray([0.5] if output == "median" else quantiles, dtype=np.float64)
        if probabilities.ndim != 1 or not ((probabilities > 0) & (probabilities < 1)).all():
            raise ValueError(f"quantiles must be a list of numbers above 0 and below 1, got {quantiles!r}")
        logits, edges = self._distribution(X)
        if output == "mean":
            found = mean(logits, edges)
        else:
            found = quantiles_of(logits, edges, torch.from_numpy(probabilities))
            found = found.squeeze(1) if output == "median" else found
        return found.numpy() * self.deviation_ + self.mean_

    def log_density(self, X, y) -> np.ndarray:
        """Log of the predicted density at y (N,) for each row of X (N, F), in units of 1 / y."""
        logits, edges = self._distribution(X)
        y = (np.asarray(y, dtype=np.float64) - self.mean_) / self.deviation_
        return log_density(logits, edges, torch.from_numpy(y)).numpy() - np.log(self.deviation_)

    def _distribution(self, X) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, K) and edges (K + 1,), in units of the training targets' deviation; float64."""
        check_is_fitted(self)
        X = torch.tensor(validate_data(self, X, dtype=np.float32, reset=False))  # a copy: X may be read-only
        x_test = X.to(self.training_rows_.mean.device).unsqueeze(0)  # (1, N, F)
        logits = self.model_.predict(self.training_rows_, x_test).squeeze(0)
        return logits.double().cpu(), self.model_.bin_edges.double().cpu()
