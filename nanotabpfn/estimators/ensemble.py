"""Ensembles of one model: the same table told in several ways, and one batched forward pass for them all.

A model reads classes as numbers and features by their place in the distributions that it was trained on. Told
with other numbers for the classes, or with other columns for the same rows, it gives other probabilities,
whose mean is better than each (Hollmann et al., TabPFN, ICLR 2023). A member is one way to tell the table.

More classes than the model has outputs are put together into as many groups as there are outputs, into
others by each member (error-correcting output codes: Dietterich and Bakiri, Journal of Artificial
Intelligence Research 2, 1995). More features than it was trained on are dealt out to the members.

Axis letters: M members, T training rows, N test rows, F features, f features of a member, K classes,
O outputs.
"""

import copy
import warnings
from collections.abc import Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PowerTransformer, StandardScaler

from nanotabpfn.estimators.encoding import FARTHEST
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainedRange, TrainingRows
from nanotabpfn.model.checkpoint import load_model

MAX_MEMBERS = 32
"""Members are added until all features are read and all classes told apart, up to so many."""


def _cut(table: np.ndarray) -> np.ndarray:
    """A power may carry a cell far beyond the training rows to infinity: it is cut."""
    return np.nan_to_num(table, nan=0.0, posinf=FARTHEST, neginf=-FARTHEST).clip(-FARTHEST, FARTHEST)


class Components(TransformerMixin, BaseEstimator):
    """Standardized columns turned onto their principal axes: as many columns as there were.

    The directions in which rows differ most are columns then, which a model that looks along columns sees at
    once (as trees do in Rodríguez et al., Rotation Forest, IEEE TPAMI 28, 2006). Axes along which the
    training rows vary by rounding alone are 0: the model would take them for features as good as the others.
    """

    def fit(self, table: np.ndarray, y: None = None) -> "Components":
        """Find the axes of (T, f), T at least 2."""
        table = table.astype(np.float64)
        self.scaler_ = StandardScaler().fit(table)
        with np.errstate(invalid="ignore"):  # shares of a variance of 0
            pca = PCA(svd_solver="full").fit(self.scaler_.transform(table))
        kept = pca.explained_variance_ > LEAST_VARIANCE * pca.explained_variance_[0]
        self.axes_ = np.zeros((table.shape[1], table.shape[1]))  # column by column
        self.axes_[:, : kept.sum()] = pca.components_[kept].T
        return self

    def transform(self, table: np.ndarray) -> np.ndarray:
        """Rows (N, f) in these axes (N, f)."""
        return self.scaler_.transform(table.astype(np.float64)) @ self.axes_


LEAST_VARIANCE = 1e-10
"""Of an axis, beside that of the first: float32 cells of columns that depend on each other leave less."""


class View(NamedTuple):
    """What a member is shown of its features.

    Attributes:
        power: each column made nearly normal by a power (Yeo-Johnson), and so blind to outliers; else as it
            is: the model standardizes by itself.
        components: the columns turned onto their principal axes.
    """

    power: bool
    components: bool


VIEWS = {
    "columns": View(power=False, components=False),
    "components": View(power=False, components=True),
    "power": View(power=True, components=False),
    "power components": View(power=True, components=True),
}


class Member(NamedTuple):
    """One way to tell a table.

    Attributes:
        features: (f,) columns that it reads, in its order.
        codes: (K,) the number that it tells the model for each class; several have one number where K is
            above O. Empty in regression.
        view: a key of VIEWS.
    """

    features: np.ndarray
    codes: np.ndarray
    view: str


def check_num_members(n_estimators: int | None, model: Any, default: int) -> int:
    """The members asked for; where none are, 1 for a model that is given as a module, else `default`.

    Raises:
        ValueError: not an integer of at least 1.
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
    """
    if model is None or isinstance(model, str | Path):
        return load_model(shipped if model is None else model)
    if not isinstance(model, NanoTabPFNModel):
        raise TypeError(
            f"model must be a NanoTabPFNModel, the path of one or None, got a {type(model).__name__}"
        )
    return copy.deepcopy(model)


def random_generator(random_state: Any) -> np.random.Generator:
    """Of an int, a numpy Generator, a RandomState (which moves on), or None: other draws each time."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, dtype=np.uint32))
    return np.random.default_rng(random_state)


def features_to_read(x: np.ndarray, num_members: int) -> np.ndarray:
    """Columns of the training rows (T, F) that say something: not the constant ones, if any varies.

    A lone member reads them all, as the published protocol does.
    """
    varies = np.ptp(x, axis=0) > 0
    return np.flatnonzero(varies) if num_members > 1 and varies.any() else np.arange(x.shape[1])


def draw_members(
    num_members: int,
    features: np.ndarray,
    rng: np.random.Generator,
    *,
    num_classes: int = 0,
    num_outputs: int = 0,
    max_features: int | None = None,
) -> list[Member]:
    """Members that differ in the order of features and classes and, in turn, in the view.

    The first tells the table as it is, if no more than it can. A lone one reads all features, however many.

    Args:
        num_members: M; more are drawn, up to MAX_MEMBERS, until all features are read and all classes told
            apart.
        features: (F,) the columns to choose from.
        num_classes: K; 0 in regression.
        num_outputs: O of the model.
        max_features: the most that a member reads; None: all.
    """
    dealt = len(features) if num_members == 1 or max_features is None else min(len(features), max_features)
    views = list(VIEWS)
    members: list[Member] = []
    unread: list[int] = []
    while len(members) < num_members or (
        len(members) < MAX_MEMBERS and not _is_complete(members, features, num_classes)
    ):
        if dealt == len(features):
            chosen = rng.permutation(features) if members else features
        else:
            if len(unread) < dealt:  # each feature is read before one is read again
                unread += rng.permutation(np.setdiff1d(features, unread)).tolist()
            chosen, unread = np.array(unread[:dealt]), unread[dealt:]
        codes = _draw_codes(num_classes, num_outputs, rng) if members or num_classes > num_outputs else None
        codes = np.arange(num_classes) if codes is None else codes
        members.append(Member(chosen, codes, views[len(members) % len(views)]))
    return members


def _draw_codes(num_classes: int, num_outputs: int, rng: np.random.Generator) -> np.ndarray:
    """(K,) numbers below O, each given as often as the others, or once less."""
    return rng.permutation(np.arange(num_classes) % max(1, min(num_classes, num_outputs)))


def _is_complete(members: Sequence[Member], features: np.ndarray, num_classes: int) -> bool:
    """Whether every feature is read by a member, and every two classes have different codes in one."""
    words = {tuple(member.codes[k] for member in members) for k in range(num_classes)}
    read = set().union(*(member.features.tolist() for member in members))
    return len(words) == num_classes and len(read) == len(features)


class Normalizer(NamedTuple):
    """Powers of columns, fitted once for all the members that are shown them."""

    features: np.ndarray  # (P,) those that such a member reads
    transformer: TransformerMixin  # of these, column by column

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Rows (N, F) with these features made nearly normal, (N, F)."""
        normal = x.astype(np.float64)
        with np.errstate(over="ignore"):
            normal[:, self.features] = self.transformer.transform(normal[:, self.features])
        return _cut(normal)


class Ensemble(NamedTuple):
    """Members that have seen the training rows."""

    model: NanoTabPFNModel
    members: list[Member]
    normalizer: Normalizer | None  # None: no member is shown powers
    components: list[Components | None]  # of each member
    training_rows: TrainingRows  # a batch of M tables

    def predict(self, x: np.ndarray) -> torch.Tensor:
        """The model's outputs (M, N, O) for test rows (N, F), a pass of all members for each chunk."""
        tables = _turned(_columns(self.members, self.normalizer, x), self.components)
        batch = torch.from_numpy(tables).to(self.training_rows.mean.device)  # (M, N, f)
        return self.model.predict(self.training_rows, batch)


def fit_ensemble(
    model: NanoTabPFNModel, members: list[Member], x: np.ndarray, targets: np.ndarray, device: torch.device
) -> Ensemble:
    """Take the training rows through the model once, as all members tell them, in one batch.

    Args:
        model: on `device`, in evaluation mode.
        x: (T, F) float32, finite.
        targets: (M, T) what each member tells the model: codes of the classes, or real numbers.
    """
    normalizer = _fit_normalizer(members, x)
    columns = _columns(members, normalizer, x)
    components = [
        Components().fit(table) if VIEWS[member.view].components else None
        for member, table in zip(members, columns, strict=True)
    ]
    training_rows = model.encode_training(
        torch.from_numpy(_turned(columns, components)).to(device),  # (M, T, f)
        torch.from_numpy(np.asarray(targets, dtype=np.float32)).to(device),
    )
    return Ensemble(model, members, normalizer, components, training_rows)


def _fit_normalizer(members: Sequence[Member], x: np.ndarray) -> Normalizer | None:
    read = [member.features for member in members if VIEWS[member.view].power]
    if not read:
        return None
    features = np.unique(np.concatenate(read))
    # Standardized first: the search for the power overflows far from 0.
    transformer = make_pipeline(StandardScaler(), PowerTransformer())
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # of powers that are tried
        transformer.fit(x[:, features].astype(np.float64))
    return Normalizer(features, transformer)


def _columns(members: Sequence[Member], normalizer: Normalizer | None, x: np.ndarray) -> list[np.ndarray]:
    """What each member reads (N, f) of rows (N, F), before it is turned."""
    normal = x if normalizer is None else normalizer.transform(x)
    return [(normal if VIEWS[member.view].power else x)[:, member.features] for member in members]


def _turned(tables: Sequence[np.ndarray], components: Sequence[Components | None]) -> np.ndarray:
    """The tables (N, f) of all members, on their axes where they have some: (M, N, f) float32."""
    told = [
        table if axes is None else _cut(axes.transform(table))
        for table, axes in zip(tables, components, strict=True)
    ]
    return np.stack(told).astype(np.float32)


def class_probabilities(
    outputs: torch.Tensor, members: Sequence[Member], num_classes: int, temperature: float = 1.0
) -> np.ndarray:
    """Probabilities (N, K) from the outputs (M, N, O) of a classifier: the mean over members.

    Where classes share codes it is the geometric mean: a member that gives a code to several classes says
    nothing of which of them it is.
    """
    probabilities = []
    for logits, member in zip(outputs.double().cpu(), members, strict=True):
        known = logits[:, : int(member.codes.max()) + 1]  # outputs past them say nothing about this table
        probabilities.append(torch.softmax(known / temperature, dim=1).numpy()[:, member.codes])
    if all(len(np.unique(member.codes)) == num_classes for member in members):
        return np.mean(probabilities, axis=0)
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)).mean(axis=0)  # (N, K)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def bin_log_probabilities(outputs: torch.Tensor) -> torch.Tensor:
    """Log probabilities (N, O) of bins from the outputs (M, N, O) of a regressor: the mean over members."""
    logs = torch.log_softmax(outputs.double().cpu(), dim=-1)
    return torch.logsumexp(logs, dim=0) - np.log(len(logs))


class OutsideTrainedRangeWarning(UserWarning):
    """A table beyond what its model was trained on, where nothing is known of the quality of predictions."""


def warn_outside(trained: TrainedRange | None, *, rows: int, features: int, classes: int | None) -> None:
    """Say in one warning what of a table is outside the trained range, if anything; `classes` None: none."""
    if trained is None:
        return
    found = {"training rows": (rows, trained.rows), "features": (features, trained.features)}
    if classes is not None:
        found["classes"] = (classes, trained.classes)
    outside = [
        f"{count} {name} (trained on {low} to {high})"
        for name, (count, (low, high)) in found.items()
        if not low <= count <= high
    ]
    if outside:
        warnings.warn(
            f"this table has {', '.join(outside)}: outside of what the model was trained on, "
            "where nothing is known of its quality",
            OutsideTrainedRangeWarning,
            stacklevel=3,
        )
