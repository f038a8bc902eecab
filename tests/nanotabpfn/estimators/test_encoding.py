"""Encoding: every kind of column becomes finite numbers, learned from the training rows alone."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import BaseEstimator

from nanotabpfn.estimators.columns import read_table
from nanotabpfn.estimators.encoding import TableEncoder, UnreadableCellsWarning


def encode(train, test=None):
    """(kinds, encoded training rows, encoded test rows)"""
    estimator = BaseEstimator()
    columns = read_table(estimator, train, reset=True)
    encoder = TableEncoder().fit(columns)
    test = train if test is None else test
    got = encoder.transform(columns), encoder.transform(read_table(estimator, test, reset=False))
    assert all(np.isfinite(table).all() and table.dtype == np.float32 for table in got)
    assert got[0].shape[1] == got[1].shape[1]
    return encoder.kinds_, *got


@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame, np.ndarray.tolist])
def test_plain_numbers_come_out_as_they_went_in(container):
    x = np.random.default_rng(0).normal(size=(9, 3)) * [1, 1e4, 1e-3]
    np.testing.assert_array_equal(encode(container(x))[1], x.astype(np.float32))


def test_each_kind_of_column_of_pandas():
    frame = pd.DataFrame(
        {
            "number": [1, 2, 5],
            "text": ["b", "a", "b"],
            "flag": [True, False, True],
            "date": pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-04"]),
            "zoned": pd.date_range("2020-01-01", periods=3, tz="Europe/Berlin"),
            "ordered": pd.Categorical(["low", "high", "low"], ["low", "high"], ordered=True),
            "iso": ["2020-01-01", "2020-01-02", "2020-01-04"],
            "written": ["1", "2.5", " 3 "],
            "period": pd.period_range("2020-01", periods=3, freq="M"),
            "whole": pd.array([1, 2, 3], dtype="Int64"),
        }
    )
    kinds, got, _ = encode(frame)
    by_name = dict(zip(frame, kinds, strict=True))
    assert {name for name, kind in by_name.items() if kind == "category"} == {"text", "period"}
    assert by_name["ordered"] == "ordered"
    days = 18262  # from 1970 to 2020
    numbers = [
        [1, 2, 5], [1, 0, 1], [days, days + 1, days + 3], np.array([days, days + 1, days + 2]) - 1 / 24,
        [0, 1, 0], [days, days + 1, days + 3], [1, 2.5, 3], [1, 2, 3], [1, 0, 1], [0, 1, 2],
    ]  # fmt: skip
    # The dates lie far from 0 for their width, and are moved there.
    expected = [np.asarray(c) - (min(c) if min(c) > 1000 else 0) for c in numbers]
    np.testing.assert_allclose(got, np.column_stack(expected), atol=1e-6)


def test_polars_and_pandas_agree():
    cells = {
        "a": [1.5, None, 3.0],
        "s": ["x", None, "y"],
        "d": [dt.datetime(2020, 1, 1), None, dt.datetime(2021, 1, 1)],
        "t": [dt.time(1), dt.time(2), None],
        "b": [True, None, False],
    }
    kinds, got, _ = encode(pl.DataFrame(cells))
    kinds_of_pandas, of_pandas, _ = encode(pd.DataFrame(cells))
    assert kinds == kinds_of_pandas
    np.testing.assert_array_equal(got, of_pandas)


def test_missing_cells_are_filled_and_told():
    frame = pd.DataFrame({"a": [1, np.nan, 3, 4, 100], "s": ["x", "x", None, "y", "x"]})
    _, got, _ = encode(frame)
    expected = [[1, 0, 0, 0], [3.5, 1, 0, 0], [3, 0, 0, 1], [4, 0, 1, 0], [100, 0, 0, 0]]
    np.testing.assert_array_equal(got, expected)


def test_a_cell_that_training_does_not_know_counts_as_missing():
    train = pd.DataFrame({"s": ["x", "x", "y"], "n": [1, 2, 9], "e": ["1", "2", "3"]})
    test = pd.DataFrame({"s": ["z", None], "n": ["what", "7"], "e": ["", "many"]})
    with pytest.warns(UnreadableCellsWarning, match=r"'s': 1 of 2 .*; column 'e': 1 of 2"):
        np.testing.assert_array_equal(encode(train, test)[2], [[2, 2, 0], [7, 2, 0]])


def test_nothing_is_learned_from_test_rows():
    train = pd.DataFrame({"a": [1, 2, np.nan], "s": ["x", "y", "x"]})
    expected = encode(train)[1]
    test = pd.DataFrame({"a": [1e6, np.nan], "s": ["a", "b"]})
    with pytest.warns(UnreadableCellsWarning, match="'s': 2 of 2"):
        np.testing.assert_array_equal(encode(train, test)[1], expected)


def test_infinities_lie_beyond_all_others():
    _, got, later = encode(np.array([[np.inf], [-np.inf], [1], [3]]), np.array([[np.inf], [2.0]]))
    np.testing.assert_array_equal(got[:, 0], [5, -1, 1, 3])
    np.testing.assert_array_equal(later[:, 0], [5, 2])


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e200, 1e307])
def test_huge_and_tiny_columns_keep_their_proportions(scale):
    cells = np.array([[-3.0], [0], [1], [5]])
    got = encode(cells * scale)[1].astype(np.float64)[:, 0]
    assert 0.1 < abs(got).max() < 10
    np.testing.assert_allclose(got / got[2], cells[:, 0], rtol=1e-4)
    encode(np.array([[1.0], [2]]) * scale, np.array([[1e308], [-1e308]]))


def test_columns_far_from_zero_keep_their_differences():
    got = encode(np.array([[1.7e9], [1.7e9 + 1], [1.7e9 + 2]]))[1]
    np.testing.assert_array_equal(got[:, 0], [0, 1, 2])


def test_columns_are_found_by_their_names():
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": [5, 6]})
    np.testing.assert_array_equal(encode(frame, frame[["c", "b", "a"]])[2], encode(frame)[1])


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "two columns of one name.*'a'"),
        (pd.DataFrame({"a": [[1], [2]]}), TypeError, "column 'a' of X holds a list"),
        (pd.DataFrame(), ValueError, "at least one row and one column"),
        (pl.DataFrame({"a": [1]}).lazy(), TypeError, r"collect\(\)"),
        (np.zeros(3), ValueError, "Expected 2D array"),
        (np.array([[1j]]), ValueError, "Complex data not supported"),
    ],
)
def test_tables_that_are_none(table, error, message):
    with pytest.raises(error, match=message):
        encode(table)


def column_of(cells):
    return pd.DataFrame({"n": pd.Series(cells, dtype=object)})


@pytest.mark.parametrize("mark", ["?", "N/A", "-", "unknown", " NULL "])
def test_a_usual_mark_of_a_missing_cell_leaves_a_column_of_numbers(mark):
    kinds, got, later = encode(column_of(["1", "2.5", mark, "4"]), column_of(["3", mark]))
    assert kinds == ["number"]
    np.testing.assert_array_equal(got, [[1, 0], [2.5, 0], [2.5, 1], [4, 0]])
    np.testing.assert_array_equal(later, [[3, 0], [2.5, 1]])


@pytest.mark.parametrize("cells", [[1, -999, 3], [1.0, -999.0, 3.0], [1, "-999", 3], ["1", "-999", "3"]])
def test_a_number_among_na_values_is_missing_in_columns_of_numbers(cells):
    columns = read_table(BaseEstimator(), pd.DataFrame({"n": pd.Series(cells)}), reset=True)
    encoder = TableEncoder(na_values=["-999"]).fit(columns)
    np.testing.assert_array_equal(encoder.transform(columns), [[1, 0], [2, 1], [3, 0]])


@pytest.mark.parametrize("na_values", ["n/a", [-999], [None]])
def test_na_values_must_be_a_list_of_texts(na_values):
    columns = read_table(BaseEstimator(), column_of(["1", "2"]), reset=True)
    with pytest.raises(ValueError, match="na_values must be a list of texts"):
        TableEncoder(na_values=na_values).fit(columns)


def test_a_mark_can_be_a_category_and_na_values_says_which_are_marks():
    assert encode(column_of(["none", "brick", "none"]))[0] == ["category"]
    columns = read_table(BaseEstimator(), column_of(["1", "2", "off", "?"]), reset=True)
    assert TableEncoder(na_values=["OFF", "?"]).fit(columns).kinds_ == ["number"]
    columns = read_table(BaseEstimator(), column_of(["a", "b", "off"]), reset=True)
    np.testing.assert_array_equal(
        TableEncoder(na_values=["off"]).fit(columns).transform(columns), [[0, 0], [1, 0], [0, 1]]
    )


def test_nearly_all_numbers_are_numbers_and_a_warning_lists_the_others():
    cells = [*map(str, range(38)), "about 5", "about 5"]
    message = r"column 'n' holds numbers, but 2 of its 40 training cells .*: 'about 5' \(2\)$"
    with pytest.warns(UnreadableCellsWarning, match=message):
        kinds, got, _ = encode(column_of(cells))
    assert kinds == ["number"]
    np.testing.assert_array_equal(got[:, 1], [0] * 38 + [1, 1])
    assert encode(column_of([*map(str, range(8)), "about 5"]))[0] == ["category"]  # more than a tenth


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["3,14", "2,5", "-1,0"], [3.14, 2.5, -1]),
        (["1.234,5", "2,5", "7"], [1234.5, 2.5, 7]),
        (["1,234.5", "2,500", "7"], [1234.5, 2500, 7]),
        (["1,234", "2,500", "12,345,678"], [1234, 2500, 12345678]),
        (["0,123", "1,234", "2"], [0.123, 1.234, 2]),
        (["12.3%", "50 %", "-1%"], [0.123, 0.5, -0.01]),
        (["1 234", "7'234.5", "12\u00a0345"], [1234, 7234.5, 12345]),
        (["1e3", "-2.5E-1", "\u22127"], [1000, -0.25, -7]),
    ],
)
def test_numbers_as_people_write_them(cells, expected):
    kinds, got, _ = encode(column_of(cells))
    assert kinds == ["number"]
    np.testing.assert_allclose(got[:, 0], expected, rtol=1e-6)


def test_what_is_a_number_in_python_alone_is_text():
    assert encode(column_of(["1_2", "3_4", "5_6"]))[0] == ["category"]


def test_a_column_of_plain_numbers_may_be_written_with_commas_later():
    _, _, later = encode(pd.DataFrame({"n": [1.5, 2.5, 999.0]}), column_of(["3,5", "1,234.5", "2"]))
    np.testing.assert_allclose(later[:, 0], [3.5, 1234.5, 2])


@pytest.mark.parametrize(
    ("train", "test", "expected"),
    [
        ([1.5, 2.5, 9.0], ["1,125", "2,5", "3"], [1.125, 2.5, 3]),  # its own cells show the mark
        (["1.5", "2.5", "9"], ["1,125", "2,5", "3"], [1.125, 2.5, 3]),
        (["1,5", "2,5", "9"], ["1,125", "2,250", "3"], [1.125, 2.25, 3]),  # the training cells show it
        (["1,5", "2,5", "9000,5"], ["1,234.5", "2,250", "3"], [1234.5, 2.25, 3]),  # each row by itself
        (["1,500,000", "2,500", "9"], ["1,125", "3,14", "3"], [1125, 3.14, 3]),
        ([1.5, 2.5, 9000.0], ["1,125", "2,125.5", "3"], [1125, 2125.5, 3]),
    ],
)
def test_the_decimal_mark_of_later_cells(train, test, expected):
    _, _, later = encode(pd.DataFrame({"n": train}), column_of(test))
    np.testing.assert_allclose(later[:, 0], expected)


@pytest.mark.parametrize("train", [[1.5, 2.5, 2000.0], ["1,500", "2,500", "9"]])
def test_a_comma_that_nothing_explains_is_said(train):
    message = r"'n': '1,(125|500)' is read as 1(125|500), since no cell shows"
    with pytest.warns(UnreadableCellsWarning, match=message):
        _, _, later = encode(pd.DataFrame({"n": train}), column_of(["0.5", "1,125"]))
    np.testing.assert_allclose(later[:, 0], [0.5, 1125])


def test_a_comma_that_nothing_explains_is_said_in_training():
    with pytest.warns(UnreadableCellsWarning, match="'n': '1,500' is read as 1500, since no cell shows"):
        TableEncoder().fit(read_table(BaseEstimator(), column_of(["1,500", "2,500", "9"]), reset=True))


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([1, 2, 3], ["low", "high", None], "'n': 2 of 3 cells are not numbers, such as 'low'"),
        (["low", "high", "low"], [1, 2, 3], "'n': 3 of 3 cells are not categories of the training rows"),
        (pd.Categorical(["a", "b", "a"], ordered=True), ["x", "y"], "'n': 2 of 2 cells are not categories"),
    ],
)
def test_train_and_test_that_disagree_about_a_column(train, test, message):
    with pytest.warns(UnreadableCellsWarning, match=message):
        encode(pd.DataFrame({"n": train}), pd.DataFrame({"n": test}))


DAYS = pd.date_range("2020-01-01", periods=4)
NUMBERS, DATES = [0.0, 1.0, 2.0, 3.0], [list(DAYS), list(DAYS.date), DAYS.strftime("%Y-%m-%d").tolist()]


@pytest.mark.parametrize("dates", DATES)
def test_dates_and_numbers_are_not_taken_for_each_other(dates):
    dates, numbers = pd.DataFrame({"n": dates}), pd.DataFrame({"n": NUMBERS})
    with pytest.warns(UnreadableCellsWarning, match="'n': 4 of 4 cells are not dates, such as '0.0'"):
        assert len(np.unique(encode(dates, numbers)[2])) == 1
    with pytest.warns(UnreadableCellsWarning, match="'n': 4 of 4 cells are not numbers"):
        assert np.unique(encode(numbers, dates)[2]).tolist() == [1.5]


@pytest.mark.parametrize("train", DATES)
@pytest.mark.parametrize("test", DATES)
def test_dates_are_the_same_in_every_form(train, test):
    _, encoded_train, encoded_test = encode(pd.DataFrame({"n": train}), pd.DataFrame({"n": test}))
    np.testing.assert_array_equal(encoded_train, encoded_test)


def test_a_column_without_any_cell_does_not_disagree():
    dates, gaps = pd.DataFrame({"n": DAYS}), pd.DataFrame({"n": [np.nan, np.nan]})
    assert len(encode(dates, gaps)[2]) == 2


def test_a_single_date_among_numbers_is_missing_whatever_else_the_table_holds():
    later = column_of(["5", "2020-01-01", "6"])
    assert encode(column_of(["1", "2", "3", "4"]), later)[2].tolist() == [[5.0], [2.5], [6.0]]
    cells = [*map(str, range(18)), "2020-01-01"]
    with pytest.warns(UnreadableCellsWarning, match=r"'n' holds numbers, but 1 of its 19 .*'2020-01-01'"):
        kinds, got, _ = encode(column_of(cells))
    assert kinds == ["number"]
    np.testing.assert_array_equal(got[:, 0], [*range(18), 8.5])
    assert encode(column_of([*map(str, range(8)), "2020-01-01"]))[0] == ["category"]  # more than a tenth


def test_a_single_number_among_dates_is_missing():
    days = [f"2020-01-{day:02}" for day in range(1, 20)]
    with pytest.warns(UnreadableCellsWarning, match=r"'n' holds dates, but 1 of its 20 .*: '20'"):
        kinds, got, _ = encode(column_of([*days, "20"]))
    assert kinds == ["number"]
    np.testing.assert_array_equal(got[:, 0] - 18262, [*range(19), 9])  # 18262 days from 1970 to 2020
    assert got[:, 1].tolist() == [0] * 19 + [1]


@pytest.mark.parametrize(
    ("cells", "sentinel"),
    [
        (1.7e9 + 60.0 * np.arange(200), 0),  # seconds, a minute apart: 128 s is float32's step there
        (pd.date_range("2026-01-01", periods=200, freq="min").to_numpy(), np.datetime64("1970-01-01")),
        (np.random.default_rng(0).normal(size=200), -999),
        (np.random.default_rng(0).normal(size=200), 1e300),
        (np.arange(200.0), 2**62),
    ],
)
def test_a_sentinel_does_not_become_the_scale_of_a_column(cells, sentinel):
    with_sentinel = cells.copy()
    with_sentinel[7] = sentinel
    (_, plain, _), (_, got, later) = (
        encode(pd.DataFrame({"n": cells})),
        encode(pd.DataFrame({"n": with_sentinel})),
    )
    others = np.arange(200) != 7
    assert len(np.unique(got)) == 200
    assert abs(np.corrcoef(got[others, 0], plain[others, 0])[0, 1] - 1) < 1e-6
    assert np.ptp(got) < 60 * got[others].std()
    np.testing.assert_array_equal(later, got)


def test_outliers_keep_their_order_and_columns_without_spread_their_cells():
    heavy = np.exp(4 * np.random.default_rng(0).normal(size=200))
    got = encode(heavy[:, None])[1][:, 0]
    np.testing.assert_array_equal(np.argsort(got), np.argsort(heavy))
    rare = np.zeros(200)
    rare[:3] = [5, 7, 900]
    np.testing.assert_array_equal(encode(rare[:, None])[1][:, 0], rare)
