"""Members: an ensemble of one model over several views of a table, in one batched forward pass.

A model reads classes as numbers and features by their place in the distributions that it was trained on. With
other numbers for the classes, or another view of the features, it gives other probabilities, whose mean is
better than each (Hollmann et al., TabPFN, ICLR 2023). A member is one such form of the table.

Where a table has more classes than the model has outputs, each member groups the classes differently into as
many groups as there are outputs (error-correcting output codes: Dietterich and Bakiri, Journal of Artificial
Intelligence Research 2, 1995). Where it has more features than the model was trained on, each member reads
some of them.

Axis letters: M members, T training rows, N test rows, F features, f features of a member, K classes,
O outputs.
"""

import math
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
import torch

from nanotabpfn.estimators.views import VIEWS, Components, Normalizer, fit_components, fit_normalizer, rotate
from nanotabpfn.model.architecture import NanoTabPFNModel, TrainingRows

MAX_MEMBERS = 32
"""Members are added until all features are read and all classes have codes of their own, up to so many."""

MOST_REJECTED = 50
"""Draws in a row that repeat a member, after which no more are drawn."""


class Member(NamedTuple):
    """One form in which the model gets a table.

    Attributes:
        features: (f,) the columns that it reads, in its order.
        codes: (K,) the number that stands for each class; several classes share a number where K is above O.
            Empty in regression.
        view: a key of VIEWS.

    Examples:
        >>> Member(features=np.arange(3), codes=np.array([1, 0]), view="columns").view in VIEWS
        True
    """

    features: np.ndarray
    codes: np.ndarray
    view: str


def random_generator(random_state: Any) -> np.random.Generator:
    """A generator from an int, a Generator, a RandomState (which advances), or None: new draws each time.

    Raises:
        ValueError: something else.

    >>> random_generator(0).integers(10, size=3).tolist()
    [8, 6, 5]
    """
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, dtype=np.uint32))
    is_seed = isinstance(random_state, Integral) and random_state >= 0
    if not (random_state is None or is_seed or isinstance(random_state, np.random.Generator)):
        raise ValueError(
            "random_state must be an integer of at least 0, a numpy Generator or RandomState, or None, "
            f"got {random_state!r}"
        )
    return np.random.default_rng(random_state)


def features_to_read(x: np.ndarray, num_members: int) -> np.ndarray:
    """Indices of the features of (T, F) that vary in the training rows; all of them if none varies.

    A single member reads all features, as in the published protocol.

    >>> features_to_read(np.array([[1.0, 5.0], [2.0, 5.0]]), num_members=8).tolist()
    [0]
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
    order_matters: bool = False,
) -> list[Member]:
    """Different members: in the view, in turn, in the codes of the classes, in the features that they read.

    The first one leaves the table as it is, where the model can read all of it. A single member reads all
    features, however many. Where all read all features and their order does not matter, there are 4 views
    times the orders of the classes: 8 members for two classes, which are then exactly symmetric in them, and
    4 in regression. No more are drawn, since others would repeat them.

    Args:
        num_members: M; more are drawn, up to MAX_MEMBERS, until all features are read and all classes have
            codes of their own.
        features: (F,) the columns to choose from.
        rng: of the orders and codes.
        num_classes: K; 0 in regression.
        num_outputs: O of the model.
        max_features: the most that a member reads; None: all.
        order_matters: whether the model depends on the order of the features.

    >>> members = draw_members(16, np.arange(3), np.random.default_rng(0), num_classes=2, num_outputs=2)
    >>> len(members), [member.view for member in members[:4]]
    (8, ['columns', 'components', 'power', 'power components'])
    >>> members[0].features.tolist(), members[0].codes.tolist()
    ([0, 1, 2], [0, 1])
    """
    dealt = len(features) if num_members == 1 or max_features is None else min(len(features), max_features)
    views = list(VIEWS)
    members: list[Member] = []
    used: dict[tuple, set[tuple]] = {}  # (view, features) -> codes
    deals = _deal_features(features, dealt, order_matters, rng)
    num_codes, rejected = _num_codes(num_classes, num_outputs), 0
    while rejected < MOST_REJECTED and (
        len(members) < num_members
        or (len(members) < MAX_MEMBERS and not _is_complete(members, features, num_classes))
    ):
        chosen = next(deals)
        view = views[len(members) % len(views)]
        taken = used.setdefault((view, tuple(chosen)), set())
        if len(taken) == num_codes:
            rejected += 1
            continue
        codes = np.arange(num_classes)
        if members or num_classes > num_outputs:
            codes = _draw_new_codes(num_classes, num_outputs, taken, rng)
        taken.add(tuple(codes))
        rejected = 0
        members.append(Member(chosen, codes, view))
    return members


def _deal_features(
    features: np.ndarray, dealt: int, order_matters: bool, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The columns (f,) of one member after the other.

    Args:
        dealt: f. Below the number of features, each feature is read before one is read again.
    """
    if dealt == len(features):
        yield features
        while True:
            yield rng.permutation(features) if order_matters else features
    unread: list[int] = []
    while True:
        if len(unread) < dealt:
            unread += rng.permutation(np.setdiff1d(features, unread)).tolist()
        chosen, unread = np.array(unread[:dealt]), unread[dealt:]
        yield chosen if order_matters else np.sort(chosen)


def _num_codes(num_classes: int, num_outputs: int) -> int:
    """How many different codes `_draw_codes` can give."""
    sizes = np.bincount(_groups(num_classes, num_outputs))
    return math.factorial(num_classes) // math.prod(math.factorial(size) for size in sizes)


def _groups(num_classes: int, num_outputs: int) -> np.ndarray:
    """(K,) numbers below O, each given as often as the others, or once less."""
    return np.arange(num_classes) % max(1, min(num_classes, num_outputs))


def _draw_codes(num_classes: int, num_outputs: int, rng: np.random.Generator) -> np.ndarray:
    """(K,) the numbers of `_groups` in another order."""
    return rng.permutation(_groups(num_classes, num_outputs))


def _draw_new_codes(
    num_classes: int, num_outputs: int, taken: set[tuple], rng: np.random.Generator
) -> np.ndarray:
    """Codes that are not among `taken`, by rejection sampling."""
    codes = _draw_codes(num_classes, num_outputs, rng)
    while tuple(codes) in taken:
        codes = _draw_codes(num_classes, num_outputs, rng)
    return codes


def _is_complete(members: Sequence[Member], features: np.ndarray, num_classes: int) -> bool:
    """Whether every feature is read by a member, and every two classes have different codes in one."""
    words = {tuple(member.codes[k] for member in members) for k in range(num_classes)}
    read = set().union(*(member.features.tolist() for member in members))
    return len(words) == num_classes and len(read) == len(features)


class Forms(NamedTuple):
    """What the members read of rows: fitted on the training rows, each different table once."""

    normalizer: Normalizer | None  # None: no member has a view with powers
    distinct: list[Member]  # one for each pair of view and features
    components: list[Components | None]  # of each of these
    places: list[int]  # (M,) which of these each member reads

    def tables(self, x: np.ndarray) -> torch.Tensor:
        """Rows (N, F) as each member reads them, (M, N, f)."""
        columns = _columns(self.distinct, self.normalizer, x)
        return torch.from_numpy(rotate(columns, self.components)[self.places])


def fit_forms(members: Sequence[Member], x: np.ndarray) -> Forms:
    """Fit the views of all members to the training rows (T, F).

    Members that differ in the codes of the classes alone read the same table.

    >>> x = np.arange(12, dtype=np.float32).reshape(6, 2)
    >>> members = draw_members(8, np.arange(2), np.random.default_rng(0), num_classes=2, num_outputs=2)
    >>> fit_forms(members, x).places
    [0, 1, 2, 3, 0, 1, 2, 3]
    """
    keys = [(member.view, *member.features) for member in members]
    place_of = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    distinct = [members[keys.index(key)] for key in place_of]
    powered = [member.features for member in distinct if VIEWS[member.view].power]
    normalizer = fit_normalizer(x, np.unique(np.concatenate(powered))) if powered else None
    components = [
        fit_components(table) if VIEWS[member.view].components else None
        for member, table in zip(distinct, _columns(distinct, normalizer, x), strict=True)
    ]
    return Forms(normalizer, distinct, components, [place_of[key] for key in keys])


def _columns(members: Sequence[Member], normalizer: Normalizer | None, x: np.ndarray) -> list[np.ndarray]:
    """What each member reads (N, f) of rows (N, F), before it is rotated."""
    normal = x if normalizer is None else normalizer.transform(x)
    return [(normal if VIEWS[member.view].power else x)[:, member.features] for member in members]


class Ensemble(NamedTuple):
    """Members whose training rows have been through the model."""

    model: NanoTabPFNModel
    forms: Forms
    training_rows: TrainingRows  # a batch of M tables

    def predict(self, x: np.ndarray) -> torch.Tensor:
        """The model's outputs (M, N, O) for test rows (N, F), all members in one batch."""
        batch = self.forms.tables(x).to(self.training_rows.mean.device)  # (M, N, f)
        return self.model.predict(self.training_rows, batch)


def fit_ensemble(
    model: NanoTabPFNModel, members: list[Member], x: np.ndarray, targets: np.ndarray, device: torch.device
) -> Ensemble:
    """Take the training rows through the model once, in the forms of all members, in one batch.

    Args:
        model: on `device`, in evaluation mode.
        members: from `draw_members`.
        x: (T, F) float32, finite.
        targets: (M, T) the targets in each member's form: codes of the classes, or real numbers.
        device: where to compute.

    Examples:
        >>> x = np.arange(12, dtype=np.float32).reshape(6, 2)
        >>> members = draw_members(2, np.arange(2), np.random.default_rng(0), num_classes=2, num_outputs=2)
        >>> model = NanoTabPFNModel(8, 2, 8, 1, num_outputs=2).eval()
        >>> ensemble = fit_ensemble(model, members, x, np.zeros((2, 6)), torch.device("cpu"))
        >>> ensemble.predict(x[:3]).shape
        torch.Size([2, 3, 2])
    """
    forms = fit_forms(members, x)
    training_rows = model.encode_training(
        forms.tables(x).to(device),  # (M, T, f)
        torch.from_numpy(np.asarray(targets, dtype=np.float32)).to(device),
    )
    return Ensemble(model, forms, training_rows)


def class_probabilities(
    outputs: torch.Tensor, members: Sequence[Member], num_classes: int, temperature: float = 1.0
) -> np.ndarray:
    """Probabilities (N, K) from the outputs (M, N, O) of a classifier: the mean over members.

    Where classes share codes it is the geometric mean: a member that gives one code to several classes does
    not distinguish them.

    >>> member = Member(np.array([0]), np.array([1, 0]), "columns")  # class 0 is the model's class 1
    >>> class_probabilities(torch.tensor([[[0.0, 2.0]]]), [member], 2).round(3).tolist()
    [[0.881, 0.119]]
    """
    probabilities = []
    for logits, member in zip(outputs.cpu().double(), members, strict=True):
        used = logits[:, : int(member.codes.max()) + 1]  # outputs of classes that this table does not have
        probabilities.append(torch.softmax(used / temperature, dim=1).numpy()[:, member.codes])
    if all(len(np.unique(member.codes)) == num_classes for member in members):
        return np.mean(probabilities, axis=0)
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)).mean(axis=0)  # (N, K)
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def bin_log_probabilities(outputs: torch.Tensor) -> torch.Tensor:
    """Log probabilities (N, O) of bins from the outputs (M, N, O) of a regressor: the mean over members.

    >>> bin_log_probabilities(torch.zeros(3, 1, 2)).exp().round(decimals=3).tolist()
    [[0.5, 0.5]]
    """
    logs = torch.log_softmax(outputs.cpu().double(), dim=-1)
    return torch.logsumexp(logs, dim=0) - np.log(len(logs))
