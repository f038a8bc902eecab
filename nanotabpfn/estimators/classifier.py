"""NanoTabPFNClassifier: the scikit-learn interface of a trained model."""

from numbers import Number, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from nanotabpfn.estimators.encoding import TableEncoder, read_table
from nanotabpfn.estimators.ensemble import (
    check_num_members,
    class_probabilities,
    draw_members,
    features_to_read,
    fit_ensemble,
    own_model,
    random_generator,
    warn_outside,
)
from nanotabpfn.model.architecture import NanoTabPFNModel, get_default_device

SHIPPED_CLASSIFIER = Path(__file__).parents[1] / "shipped" / "classifier.safetensors"
"""The model of `NanoTabPFNClassifier()`; classifier.md beside it says what it is and how it was made."""
ENSEMBLE_SIZE = 8


class NanoTabPFNClassifier(ClassifierMixin, BaseEstimator):
    """Classifies the rows of a table as it comes, by a trained NanoTabPFNModel.

    Numbers, text, categories, booleans, dates, missing cells and infinities are encoded inside, fitted on the
    training rows alone (`encoding.py`); an ensemble tells the table in several ways (`ensemble.py`).
    `fit` takes the training rows through the model once and keeps what test rows need of them, so that
    `predict_proba` costs the test rows alone. It works on a copy of the model: what happens to `model`
    afterwards, such as more training, changes nothing until the next `fit`.

    Args:
        model: a trained model, its file, or the directory of its run; None takes the one that ships with the
            package (`nanotabpfn/shipped/classifier.md`).
        device: where to compute; `get_default_device()` by default.
        n_estimators: ways to tell the table, whose mean is taken. None: 1 for a model that is given as a
            module, which is the published protocol: with 1, a table of finite numbers reaches the model as
            it is; else 8. More are taken where it needs them to read all features or tell all classes apart.
        softmax_temperature: divides the logits; above 1 probabilities are less sure of themselves.
        random_state: an int, a numpy Generator or None (other draws each time), of the ensemble.

    Attributes:
        classes_: (K,) the training labels that occur, sorted.
        n_features_in_: number of features seen in `fit`.
        feature_names_in_: their names, where X has names; `predict` finds columns by them in any order.
        model_: the model as it was in `fit`, on the device.
        members_: how each member of the ensemble tells the table.
    """

    def __init__(
        self,
        model: NanoTabPFNModel | str | Path | None = None,
        device: str | torch.device | None = None,
        *,
        n_estimators: int | None = None,
        softmax_temperature: float = 1.0,
        random_state: int | np.random.Generator | None = 0,
    ):
        self.model = model
        self.device = device
        self.n_estimators = n_estimators
        self.softmax_temperature = softmax_temperature
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> "NanoTabPFNClassifier":
        """Take the training rows through the model.

        Args:
            X: (T, F) frame of pandas, polars or pyarrow, or array.
            y: (T,) labels of any kind.

        Raises:
            ValueError: input that does not fit together, a missing label, fewer than two classes, a parameter
                out of its range.
            TypeError: cells that are neither text nor number nor date; a model of another kind.
            CheckpointError: a file that holds no model.
        """
        num_estimators = check_num_members(self.n_estimators, self.model, ENSEMBLE_SIZE)
        temperature = self.softmax_temperature
        if not isinstance(temperature, Real) or not 0 < temperature < np.inf:
            raise ValueError(f"softmax_temperature must be a number above 0, got {temperature!r}")
        columns = read_table(self, X, reset=True)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        y = _read_labels(y)
        check_consistent_length(columns[0].cells, y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must have at least two classes, got one class: {self.classes_.tolist()[0]!r}"
            )
        device = torch.device(self.device or get_default_device())
        self.model_ = own_model(self.model, SHIPPED_CLASSIFIER).to(device).eval()
        if self.model_.problem_type != "classification":
            raise ValueError("model must be of classification, got one of regression: NanoTabPFNRegressor")
        self.encoder_ = TableEncoder().fit(columns)
        x = self.encoder_.transform(columns)  # (T, G)
        features = features_to_read(x, num_estimators)
        trained = self.model_.trained_range
        num_outputs = self.model_.num_outputs
        if trained is not None:
            num_outputs = min(num_outputs, trained.classes[1])
        self.members_ = draw_members(
            num_estimators,
            features,
            random_generator(self.random_state),
            num_classes=len(self.classes_),
            num_outputs=num_outputs,
            max_features=None if trained is None else trained.features[1],
        )
        warn_outside(trained, rows=len(x), features=len(features), classes=len(self.classes_))
        targets = np.stack([member.codes[places] for member in self.members_])  # (M, T)
        self.ensemble_ = fit_ensemble(self.model_, self.members_, x, targets, device)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (N, K) of each class in `classes_` for each row of X (N, F)."""
        check_is_fitted(self)
        x = self.encoder_.transform(read_table(self, X, reset=False))
        outputs = self.ensemble_.predict(x)  # (M, N, O)
        return class_probabilities(outputs, self.members_, len(self.classes_), self.softmax_temperature)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class (N,) for each row of X (N, F)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _read_labels(y: Any) -> np.ndarray:
    """(T,) labels of one kind, none of them missing.

    Raises:
        ValueError: labels that are missing, real numbers, or not all text or all numbers.
    """
    y = column_or_1d(np.asarray(y), warn=True)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    if y.dtype.kind == "O":
        missing = sum(label is None or label != label or str(label) == "<NA>" for label in y)
        if missing:
            raise ValueError(
                f"Input y contains NaN: {missing} of {len(y)} labels are missing; leave such rows out"
            )
        kinds = {Number if isinstance(label, Number | np.bool_) else type(label) for label in y}
        if len(kinds) > 1:
            names = ", ".join(sorted({type(label).__name__ for label in y}))
            raise ValueError(f"y must hold labels of one kind, all text or all numbers, got {names}")
        if kinds == {Number}:
            y = np.array(y.tolist())
    check_classification_targets(y)
    return y
