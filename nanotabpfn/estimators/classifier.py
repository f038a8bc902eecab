"""NanoTabPFNClassifier: the scikit-learn interface of a model trained for classification."""

from collections.abc import Sequence
from numbers import Number, Real
from pathlib import Path
from typing import Any, Literal

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
        device: where to compute; None or "auto": a GPU if there is one.
        n_estimators: members of the ensemble, whose mean is taken. None: 1 for a model that is given as a
            module, which is the published protocol: with 1, a table of finite numbers reaches the model as
            it is; else 8. More, up to 32, are added where they are needed to read all features or to separate
            all classes, and fewer are drawn where no more differ from each other (8 for two classes).
        softmax_temperature: divides the logits; above 1 probabilities are closer to each other.
        random_state: an int, a numpy Generator or None (new draws each time), of the ensemble.
        na_values: text that marks a missing cell, in all columns. None: the usual marks such as "?" and
            "N/A" in columns of numbers (`cell_parsing.NA_VALUES`).
        class_weight: weights of classes, by which their probabilities are multiplied; `balanced`: in inverse
            proportion to their training rows, as for a table in which all are equally frequent.

    Attributes:
        classes_: (K,) the training labels that occur, sorted.
        class_weight_: (K,) their weights.
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
        class_weight: Literal["balanced"] | dict[Any, float] | None = None,
    ):
        self.model = model
        self.device = device
        self.n_estimators = n_estimators
        self.softmax_temperature = softmax_temperature
        self.random_state = random_state
        self.na_values = na_values
        self.class_weight = class_weight

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
        with self._fitting():
            self._fit(X, y)
        return self

    def _fit(self, X: Any, y: Any) -> None:
        num_members = check_num_members(self.n_estimators, self.model, self.ensemble_size)
        _check_temperature(self.softmax_temperature)
        columns = self._read_training_table(X, y)
        y = _read_labels(y)
        check_consistent_length(columns[0].cells, y)
        self.classes_, places = _find_classes(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must have at least two classes, got one class: {self.classes_.tolist()[0]!r}"
            )
        self.class_weight_ = _find_weights(self.class_weight, self.classes_, places)
        device = self._load_model()
        x = self._encode(columns)  # (T, G)
        self.members_ = self._draw_members(x, num_members, len(self.classes_))
        codes = np.stack([member.codes[places] for member in self.members_])  # (M, T)
        self._fit_ensemble(x, codes, device)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability (N, K) of each class in `classes_` for each row of X (N, F)."""
        _check_temperature(self.softmax_temperature)
        outputs = self._outputs(X)  # (M, N, O)
        probabilities = class_probabilities(
            outputs, self.members_, len(self.classes_), self.softmax_temperature
        )
        if self.class_weight is None:
            return probabilities
        weighted = probabilities * self.class_weight_
        return weighted / weighted.sum(axis=1, keepdims=True)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of the probability (N, K) of each class in `classes_` for each row of X (N, F)."""
        with np.errstate(divide="ignore"):  # of probabilities of 0
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class (N,) for each row of X (N, F)."""
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(axis=1)]


def _find_weights(class_weight: Any, classes: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(K,) the weights of the classes, of mean 1 over the training rows' classes where they are balanced.

    Raises:
        ValueError: not None, `balanced` or a dict of classes and positive weights.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        return len(places) / (len(classes) * np.bincount(places))
    unknown = set(class_weight) - set(classes.tolist()) if isinstance(class_weight, dict) else None
    weights = class_weight.values() if isinstance(class_weight, dict) else ()
    if unknown is None or unknown or not all(isinstance(w, Real) and 0 < w < np.inf for w in weights):
        raise ValueError(
            "class_weight must be None, 'balanced', or a dict of labels in y and weights above 0, "
            f"got {class_weight!r}"
        )
    return np.array([class_weight.get(label, 1.0) for label in classes.tolist()])


def _check_temperature(temperature: Any) -> None:
    if not isinstance(temperature, Real) or not 0 < temperature < np.inf:
        raise ValueError(f"softmax_temperature must be a number above 0, got {temperature!r}")


def _read_labels(y: Any) -> np.ndarray:
    """(T,) labels of one kind, none of them missing: text, numbers, or other objects that can be sorted.

    Raises:
        ValueError: labels that are missing, real numbers, or of several kinds.
    """
    if isinstance(y, np.ma.MaskedArray):
        y = np.where(np.ma.getmaskarray(y), None, y.data.astype(object))
    # Not np.asarray(y), which makes text of all labels where one is text.
    y = np.asarray(y) if hasattr(y, "dtype") else np.asarray(y, dtype=object)
    y = column_or_1d(y, warn=True)
    if y.dtype.kind in "fc":
        assert_all_finite(y, input_name="y")
    if y.dtype.kind == "O":
        y = _of_one_kind(y)
    if y.dtype.kind != "O":
        check_classification_targets(y)
    return y


def _of_one_kind(y: np.ndarray) -> np.ndarray:
    """Labels (T,) in an array of objects as text or numbers, where they are such.

    Raises:
        ValueError: labels that are missing or of several kinds.
    """
    missing = sum(label is None or label != label or str(label) == "<NA>" for label in y)
    if missing:
        raise ValueError(
            f"Input y contains NaN: {missing} of {len(y)} labels are missing; leave such rows out"
        )
    kinds = {_kind_of_label(label) for label in y}
    if len(kinds) > 1:
        names = ", ".join(sorted({type(label).__name__ for label in y}))
        raise ValueError(f"y must hold labels of one kind, all text or all numbers, got {names}")
    return np.array(y.tolist()) if kinds <= {Number, str} else y


def _kind_of_label(label: Any) -> type:
    if isinstance(label, Number | np.bool_):
        return Number
    return str if isinstance(label, str) else type(label)


def _find_classes(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classes (K,), sorted, and the class (T,) of each label.

    Raises:
        ValueError: labels that cannot be sorted.
    """
    try:
        return np.unique(y, return_inverse=True)
    except TypeError as error:
        raise ValueError(f"y must hold text, numbers, or labels that can be sorted: {error}") from error
