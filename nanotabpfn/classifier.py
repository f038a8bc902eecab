"""NanoTabPFNClassifier: the scikit-learn interface of a trained model."""

import copy

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from nanotabpfn.model import NanoTabPFNModel, get_default_device


class NanoTabPFNClassifier(ClassifierMixin, BaseEstimator):
    """Classifies the rows of a numeric table with a trained NanoTabPFNModel.

    `fit` takes the training rows through the model once and keeps what test rows need of them, so that
    `predict_proba` costs the test rows alone. It works on a copy of the model: what happens to `model`
    afterwards, such as more training, changes nothing until the next `fit`.

    Args:
        model: a trained model.
        device: where to compute; `get_default_device()` by default.

    Attributes:
        classes_: (K,) the training labels that occur, sorted.
        n_features_in_: number of features seen in `fit`.
        model_: the model as it was in `fit`, on the device.
    """

    def __init__(self, model: NanoTabPFNModel, device: str | torch.device | None = None):
        self.model = model
        self.device = device

    def fit(self, X, y) -> "NanoTabPFNClassifier":
        """Take the training rows through the model.

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
        device = torch.device(self.device or get_default_device())
        self.model_ = copy.deepcopy(self.model).to(device).eval()
        self.training_rows_ = self.model_.encode_training(
            torch.from_numpy(X).to(device).unsqueeze(0),  # (1, T, F)
            torch.from_numpy(codes.astype(np.float32)).to(device).unsqueeze(0),  # (1, T)
        )
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Probability (N, K) of each class in `classes_` for each row of X (N, F)."""
        check_is_fitted(self)
        X = torch.from_numpy(validate_data(self, X, dtype=np.float32, reset=False))
        x_test = X.to(self.training_rows_.mean.device).unsqueeze(0)  # (1, N, F)
        logits = self.model_.predict(self.training_rows_, x_test).squeeze(0)
        # Outputs past the classes of this table say nothing about it.
        return torch.softmax(logits[:, : len(self.classes_)].double(), dim=1).cpu().numpy()

    def predict(self, X) -> np.ndarray:
        """The most probable class (N,) for each row of X (N, F)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]
