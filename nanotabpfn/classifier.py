"""NanoTabPFNClassifier: the scikit-learn interface of a trained model."""

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from nanotabpfn.model import NanoTabPFNModel, get_default_device

TEST_ROWS_PER_PASS = 1024
"""Test rows of one forward pass; test rows do not influence each other, so this bounds memory alone."""


class NanoTabPFNClassifier(ClassifierMixin, BaseEstimator):
    """Classifies the rows of a numeric table with a trained NanoTabPFNModel.

    `fit` only stores the training rows: the model learns from them in the forward pass of `predict_proba`.

    Args:
        model: a trained model; it is moved to `device` on `fit`.
        device: where to compute; `get_default_device()` by default.

    Attributes:
        classes_: (K,) the training labels that occur, sorted.
        n_features_in_: number of features seen in `fit`.
    """

    def __init__(self, model: NanoTabPFNModel, device: str | torch.device | None = None):
        self.model = model
        self.device = device

    def fit(self, X, y) -> "NanoTabPFNClassifier":
        """Store the training rows.

        Args:
            X: (T, F) finite numbers.
            y: (T,) labels of any kind.

        Raises:
            ValueError: input that is not finite or does not fit together, fewer than two classes, or more
                classes than the model has outputs.
        """
        X, y = validate_data(self, X, y, dtype=np.float32)
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have at least two classes, got only {self.classes_[0]!r}")
        if len(self.classes_) > self.model.num_outputs:
            raise ValueError(
                f"y must have no more classes than the model has outputs ({self.model.num_outputs}), "
                f"got {len(self.classes_)}"
            )
        self.device_ = torch.device(self.device or get_default_device())
        self.X_ = torch.from_numpy(X).to(self.device_)  # (T, F)
        self.y_ = torch.from_numpy(codes.astype(np.float32)).to(self.device_)  # (T,)
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Probability (N, K) of each class in `classes_` for each row of X (N, F)."""
        check_is_fitted(self)
        X = torch.from_numpy(validate_data(self, X, dtype=np.float32, reset=False)).to(self.device_)
        model = self.model.to(self.device_)
        was_training = model.training
        model.eval()
        try:
            with torch.inference_mode():
                logits = torch.cat([self._logits(model, rows) for rows in X.split(TEST_ROWS_PER_PASS)])
        finally:
            model.train(was_training)
        # Outputs past the classes of this table say nothing about it.
        return torch.softmax(logits[:, : len(self.classes_)].double(), dim=1).cpu().numpy()

    def predict(self, X) -> np.ndarray:
        """The most probable class (N,) for each row of X (N, F)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def _logits(self, model: NanoTabPFNModel, test_rows: torch.Tensor) -> torch.Tensor:
        table = torch.cat([self.X_, test_rows]).unsqueeze(0)  # (1, R, F)
        return model((table, self.y_.unsqueeze(0)), train_test_split_index=len(self.X_)).squeeze(0)
