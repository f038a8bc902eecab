"""NanoTabPFNClassifier: the scikit-learn interface of a model trained for classification."""

from collections.abc import Sequence
from numbers import Number, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from nanotabpfn.estimators.base import SHIPPED, TableEstimator, check_num_members
from nanotabpfn.estimators.members import class_probabilities
from nanotabpfn.model.architecture import NanoTabPFNModel

SHIPPED_CLASSIFIER = SHIPPED / "classifier.safetensors"
"""The model of `NanoTabPFNClassifier()`; its card is classifier.md in the same folder."""
ENSEMBLE_SIZE = 8


class NanoTabPFNClassifier(ClassifierMixin, TableEstimator):
    """Classifies the rows of a table as it comes, by a trained NanoTabPFNModel.

    Numbers, text, categories, booleans, dates, missing cells and infinities are encoded inside, fitted on the
    training rows alone (`encoding.py`); the predictions of several views of the table are averaged
    (`members.py`). `fit` takes the training rows through the model once and keeps what test rows need of
    them, so that `predict_proba` costs the test rows alone. It works on a copy of the model: what happens to
    `model` afterwards, such as more training, changes nothing until the next `fit`.

    Args:
        model: a trained model, its file, or the directory of its run; None takes the one that ships with the
            package (`nanotabpfn/shipped/classifier.md`).
        device: where to compute; `get_default_device()` by default.
        n_estimators: members of the ensemble, whose mean is taken. None: 1 for a model that is given as a
            module, which is the published protocol: with 1, a table of finite numbers reaches the model as
            it is; else 8. More are added where they are needed to read all features or to separate all
            classes.
        softmax_temperature: divides the logits; above 1 probabilities are closer to each other.
        random_state: an int, a numpy Generator or None (new draws each time), of the ensemble.
        na_values: text that marks a missing cell, in all columns. None: the usual marks such as "?" and
            "N/A" in columns of numbers (`cells.NA_VALUES`).

    Attributes:
        classes_: (K,) the training labels that occur, sorted.
        n_features_in_: number of features seen in `fit`.
        feature_names_in_: their names, where X has names; `predict` finds columns by them in any order.
        model_: the model as it was in `fit`, on the device.
        members_: the form of the table that each member of the ensemble gets.

    >>> x, y = [[1.0], [2.0], [3.0], [4.0]], ["low", "low", "high", "high"]
    >>> classifier = NanoTabPFNClassifier(NanoTabPFNModel(8, 2, 8, 1, 2), "cpu").fit(x, y)
    >>> classifier.classes_.tolist(), classifier.predict_proba([[2.5], [9.0]]).shape
    (['high', 'low'], (2, 2))
    """

    problem_type = "classification"
    shipped_model = SHIPPED_CLASSIFIER
    ensemble_size = ENSEMBLE_SIZE

    def __init__(
        self,
        model: NanoTabPFNModel | str | Path | None = None,
        device: str | torch.device | None = None,
        *,
        n_estimators: int | None = None,
        softmax_temperature: float = 1.0,
        random_state: int | np.random.Generator | None = 0,
        na_values: Sequence[str] | None = None,
    ):
        self.model = model
        self.device = device
        self.n_estimators = n_estimators
        self.softmax_temperature = softmax_temperature
        self.random_state = random_state
        self.na_values = na_values

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
        num_members = check_num_members(self.n_estimators, self.model, self.ensemble_size)
        _check_temperature(self.softmax_temperature)
        columns = self._read_training_table(X, y)
        y = _read_labels(y)
        check_consistent_length(columns[0].cells, y)
        self.classes_, places = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must have at least two classes, got one class: {self.classes_.tolist()[0]!r}"
            )
        device = self._load_model()
        x = self._encode(columns)  # (T, G)
        self.members_ = self._draw_members(x, num_members, len(self.classes_))
        codes = np.stack([member.codes[places] for member in self.members_])  # (M, T)
        self._fit_ensemble(x, codes, device)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (N, K) of each class in `classes_` for each row of X (N, F)."""
        outputs = self._outputs(X)  # (M, N, O)
        return class_probabilities(outputs, self.members_, len(self.classes_), self.softmax_temperature)

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class (N,) for each row of X (N, F)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _check_temperature(temperature: Any) -> None:
    if not isinstance(temperature, Real) or not 0 < temperature < np.inf:
        raise ValueError(f"softmax_temperature must be a number above 0, got {temperature!r}")


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
