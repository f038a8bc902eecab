"""What NanoTabPFNClassifier and NanoTabPFNRegressor share: from a table as it comes to a fitted ensemble."""

import copy
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from nanotabpfn.estimators.columns import Column, read_table
from nanotabpfn.estimators.encoding import TableEncoder
from nanotabpfn.estimators.members import (
    Member,
    draw_members,
    features_to_read,
    fit_ensemble,
    random_generator,
)
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange
from nanotabpfn.model.checkpoint import load_model
from nanotabpfn.model.device import find_device

SHIPPED = Path(__file__).parents[1] / "shipped"
"""Folder of the models that come with the package, each with its card."""


class OutsideTrainedRangeWarning(UserWarning):
    """A table is larger or smaller than what its model was trained on: the quality there is unknown."""


class TableEstimator(BaseEstimator):
    """The stages of `fit` and `predict` that do not depend on the kind of target.

    A subclass has the parameters `model`, `device`, `n_estimators`, `random_state` and `na_values`, and sets:

    Attributes:
        problem_type: `classification` or `regression`.
        shipped_model: the file that `model=None` loads.
        ensemble_size: members where `n_estimators` is None and the model is not given as a module.
    """

    problem_type: ClassVar[str]
    shipped_model: ClassVar[Path]
    ensemble_size: ClassVar[int]

    @contextmanager
    def _fitting(self) -> Iterator[None]:
        """Removes what an earlier `fit` learned, and after an error what this one did: never a mixture."""
        self._forget()
        try:
            yield
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_") and not name.startswith("_")]:
            delattr(self, name)

    def _read_training_table(self, X: Any, y: Any) -> list[Column]:
        """The columns of X, after the checks that X and y share."""
        columns = read_table(self, X, reset=True)
        if y is None:
            raise ValueError(
                f"This {type(self).__name__} estimator requires y to be passed, but the target y is None."
            )
        _warn_if_shuffled(X, y)
        return columns

    def _load_model(self) -> torch.device:
        """Set `model_`, a copy in evaluation mode on the device, which is returned."""
        device = find_device(self.device)
        self.model_ = own_model(self.model, self.shipped_model).to(device).eval()
        for name, weights in self.model_.named_parameters():
            if not torch.isfinite(weights).all():
                raise ValueError(f"model must have finite weights, got NaN or infinity in {name}")
        if self.model_.problem_type != self.problem_type:
            other = {"classification": "NanoTabPFNClassifier", "regression": "NanoTabPFNRegressor"}
            raise ValueError(
                f"model must be of {self.problem_type}, got one of {self.model_.problem_type}: "
                f"{other[self.model_.problem_type]}"
            )
        return device

    def _encode(self, columns: list[Column]) -> np.ndarray:
        """The training rows (T, G) as numbers; sets `encoder_`."""
        self.encoder_ = TableEncoder(self.na_values).fit(columns)
        return self.encoder_.transform(columns)

    def _draw_members(self, x: np.ndarray, num_members: int, num_classes: int = 0) -> list[Member]:
        """Members for the training rows (T, G); warns where the table is outside of the trained range."""
        features = features_to_read(x, num_members)
        trained, num_outputs = self.model_.trained_range, self.model_.num_outputs
        if trained is not None and trained.classes is not None:
            num_outputs = min(num_outputs, trained.classes[1])
        max_features = None if trained is None else trained.features[1]
        members = draw_members(
            num_members,
            features,
            random_generator(self.random_state),
            num_classes=num_classes,
            num_outputs=num_outputs,
            max_features=max_features,
            order_matters=self.model_.config["feature_group_size"] > 1,
        )
        num_read = len(set().union(*(member.features.tolist() for member in members)))
        remedy = None
        if num_read < len(features):
            remedy = (
                f"{len(features) - num_read} of the features are read by none of the {len(members)} members; "
                f"n_estimators={math.ceil(len(features) / max_features)} reads all"
            )
        warn_outside(trained, rows=len(x), features=len(features), classes=num_classes or None, note=remedy)
        return members

    def _fit_ensemble(self, x: np.ndarray, targets: np.ndarray, device: torch.device) -> None:
        """Take the training rows (T, G), with targets (M, T), through the model; sets `ensemble_`."""
        self.encoded_rows_ = (x, targets)
        self.ensemble_ = fit_ensemble(self.model_, self.members_, x, targets, device)

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle holds: encoder, training rows and weights, on the CPU; not what `fit` computed from
        them, which takes many times the space."""
        state = dict(super().__getstate__())
        state.pop("ensemble_", None)
        for name in ("model", "model_"):
            if isinstance(state.get(name), torch.nn.Module) and _device_of(state[name]).type != "cpu":
                state[name] = copy.deepcopy(state[name]).cpu()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Takes the training rows through the model again, on `device`, or where there is none on another."""
        super().__setstate__(state)
        if hasattr(self, "encoded_rows_"):
            try:
                device = find_device(self.device)
            except ValueError:  # a GPU that this machine does not have
                device = find_device("auto")
            self.model_.to(device)
            self._fit_ensemble(*self.encoded_rows_, device)

    def _outputs(self, X: Any) -> torch.Tensor:
        """The model's outputs (M, N, O) for test rows X (N, F)."""
        check_is_fitted(self)
        return self.ensemble_.predict(self.encoder_.transform(read_table(self, X, reset=False)))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        return tags


def _device_of(model: torch.nn.Module) -> torch.device:
    return next(model.parameters()).device


def check_num_members(n_estimators: int | None, model: Any, default: int) -> int:
    """`n_estimators`; where it is None, 1 for a model that is given as a module, else `default`.

    Raises:
        ValueError: not an integer of at least 1.

    >>> check_num_members(None, None, default=8), check_num_members(3, None, default=8)
    (8, 3)
    """
    if n_estimators is None:
        return 1 if isinstance(model, torch.nn.Module) else default
    if not isinstance(n_estimators, Integral) or n_estimators < 1:
        raise ValueError(f"n_estimators must be an integer of at least 1, or None, got {n_estimators!r}")
    return int(n_estimators)


def own_model(model: NanoTabPFNModel | str | Path | None, shipped: Path) -> NanoTabPFNModel:
    """A copy of a model, or one read from its file or run; from the file `shipped` where it is None.

    Raises:
        TypeError: something else.
        CheckpointError: a file that holds no model.

    >>> own_model(None, SHIPPED / "classifier.safetensors").num_outputs
    10
    """
    if model is None or isinstance(model, str | Path):
        return load_model(shipped if model is None else model)
    if not isinstance(model, NanoTabPFNModel):
        raise TypeError(
            f"model must be a NanoTabPFNModel, the path of one or None, got a {type(model).__name__}"
        )
    return copy.deepcopy(model)


def _warn_if_shuffled(X: Any, y: Any) -> None:
    """Warn where pandas would match the rows of X and y in another way than by position."""
    of_x, of_y = getattr(X, "index", None), getattr(y, "index", None)
    if not (hasattr(of_x, "equals") and hasattr(of_y, "equals")):  # a list has a method of that name
        return
    if len(of_x) == len(of_y) and not of_x.equals(of_y) and set(of_x) == set(of_y):
        warnings.warn(
            "X and y have the same index labels in another order, and rows are matched by position; "
            "y.loc[X.index] matches them by label",
            stacklevel=2,
        )


def warn_outside(
    trained: TrainedRange | None, *, rows: int, features: int, classes: int | None, note: str | None = None
) -> None:
    """One warning that lists what of a table is outside of the trained range, if anything.

    Args:
        trained: the model's range; None where it is unknown: no warning.
        rows: training rows of the table.
        features: its features.
        classes: its classes; None in regression.
        note: added at the end.

    Examples:
        >>> trained = TrainedRange(rows=(15, 135), features=(5, 5))
        >>> with warnings.catch_warnings(record=True) as found:
        ...     warnings.simplefilter("always")
        ...     warn_outside(trained, rows=500, features=5, classes=None)
        >>> str(found[0].message)[:55]
        'this table has 500 training rows (trained on 15 to 135)'
    """
    if trained is None:
        return
    found = {"training rows": (rows, trained.rows), "features": (features, trained.features)}
    if classes is not None and trained.classes is not None:
        found["classes"] = (classes, trained.classes)
    outside = [
        f"{count} {name} (trained on {low if low == high else f'{low} to {high}'})"
        for name, (count, (low, high)) in found.items()
        if not low <= count <= high
    ]
    if outside:
        warnings.warn(
            f"this table has {', '.join(outside)}: outside of what the model was trained on, "
            f"the quality of its predictions is unknown{'' if note is None else f'; {note}'}",
            OutsideTrainedRangeWarning,
            stacklevel=4,
        )
