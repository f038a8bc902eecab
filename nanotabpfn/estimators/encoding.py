"""Tables as they come, as numbers: frames and arrays of any kind of column to a finite float32 matrix.

Axis letters: T training rows, N rows, F columns of the table, G features of the matrix.

`read_table` takes a table apart into columns and holds it to what was fitted, as scikit-learn does.
`TableEncoder` learns from the training rows alone what becomes of each column:

- numbers, booleans (0 and 1), dates (days), durations (days), and text that reads as a number or an ISO date
  in every training row: a number;
- ordered categories (pandas' ordered, polars' Enum): their place in the order;
- all else: a category, numbered in alphabetical order.

A cell that cannot be read as its column's kind, such as a category that the training rows lack, counts as
missing. Missing numbers become the median, missing categories the most frequent one, and a column with
missing cells in training gets a second one that tells them, 0 or 1: that a cell is missing may say something.

A table of plain finite numbers comes out as it went in.
"""

import datetime
import math
from collections.abc import Hashable, Sequence
from numbers import Number
from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder
from sklearn.utils.validation import validate_data

PLAIN_EXPONENT = 40
"""Columns whose largest number is between 2**-40 and 2**40 keep their scale: float32 squares them safely."""
PLAIN_OFFSET = 2**10
"""Columns this many times farther from 0 than they are wide are moved to 0, for float32's sake."""
FARTHEST = 2.0**64
"""How far from 0 a cell can be, after that; the model cuts z-scores at 100 anyway."""

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
DAY_IN_MICROSECONDS = 86_400e6


class Column(NamedTuple):
    """A column as it was read: numbers, or cells of any kind, with their order where they have one."""

    name: str
    cells: np.ndarray  # (N,) float64 with NaN where missing, or objects
    levels: tuple[Any, ...] | None = None  # of ordered categories, lowest first


def read_table(estimator: BaseEstimator, X: Any, *, reset: bool) -> list[Column]:
    """The columns of X, checked as scikit-learn's `validate_data` does; sets `n_features_in_` and names.

    Columns that stand in another order than in `fit` are put into that order by their names.

    Args:
        estimator: that the attributes are set on (`reset`) or compared with, and which messages name.
        X: a pandas, polars or pyarrow frame, or what numpy makes a two-dimensional array of.
        reset: in `fit`.

    Raises:
        ValueError: no rows or columns, other columns than in `fit`, two of one name, complex numbers.
        TypeError: a sparse matrix or a lazy frame.
    """
    if nw.dependencies.is_into_dataframe(X):
        return _read_frame(estimator, X, reset)
    if hasattr(X, "collect_schema") or nw.dependencies.is_polars_lazyframe(X):
        raise TypeError(f"X must be a table in memory, got a {type(X).__name__}; call its collect()")
    # One array for all columns: numbers stay numbers, all else becomes objects.
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if kind is None:
        kind = "O" if _holds_other_than_numbers(X) else "f"
    if kind in "mM":
        X = np.where(np.isnat(X), np.nan, X.astype(f"{np.dtype(X.dtype).kind}8[us]").astype(np.float64))
        X = X / DAY_IN_MICROSECONDS
    dtype = np.float64 if kind in "biufcmM" else object
    X = validate_data(estimator, X, dtype=dtype, ensure_all_finite=False, reset=reset)
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:  # an array in `fit`, or SHAP has set it to None to be free of warnings
        names = range(X.shape[1])
    return [Column(str(name), X[:, i]) for i, name in enumerate(names)]


def _holds_other_than_numbers(X: Any) -> bool:
    """Whether lists, or what can be made an array, hold text, dates or None beside numbers."""
    try:
        return np.asarray(X).dtype.kind not in "biufc"
    except (TypeError, ValueError):
        return False  # validate_data says what is wrong with it


def _read_frame(estimator: BaseEstimator, X: Any, reset: bool) -> list[Column]:
    names = [str(name) for name in X.columns] if hasattr(X, "columns") else []
    names = list(X.column_names) if hasattr(X, "column_names") else names  # pyarrow
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"X must not have two columns of one name, got {names.count(name)} of {name!r}")
    frame = nw.from_native(X, eager_only=True)
    if 0 in frame.shape:
        raise ValueError(
            f"X must have at least one row and one column, got {frame.shape[0]} sample(s) and "
            f"{frame.shape[1]} feature(s) (shape={frame.shape}) while a minimum of 1 is required."
        )
    fitted = getattr(estimator, "feature_names_in_", None)
    if not reset and fitted is not None and set(fitted) == set(frame.columns):
        frame = frame.select(list(fitted))
    validate_data(estimator, frame.to_native(), skip_check_array=True, reset=reset)
    return [_read_series(series) for series in frame.iter_columns()]


def _read_series(series: nw.Series) -> Column:
    name, dtype = str(series.name), series.dtype
    if dtype.is_numeric() and dtype != nw.Decimal:
        return Column(name, _to_float(series))
    if dtype in (nw.Date, nw.Datetime):
        series = series.cast(nw.Datetime("us")) if dtype == nw.Date else series
        return Column(name, _to_float(series.dt.timestamp("us")) / DAY_IN_MICROSECONDS)
    if dtype == nw.Duration:
        return Column(name, _to_float(series.dt.total_microseconds()) / DAY_IN_MICROSECONDS)
    cells = np.empty(len(series), dtype=object)
    cells[:] = series.to_list()
    levels = tuple(dtype.categories) if dtype == nw.Enum else None
    return Column(name, cells, levels)


def _to_float(series: nw.Series) -> np.ndarray:
    return np.array(series.cast(nw.Float64).to_numpy(), dtype=np.float64)  # a copy, NaN where missing


class TableEncoder(BaseEstimator):
    """Columns of `read_table` to a finite matrix; fitted on training rows alone.

    Attributes:
        kinds_: of each column: `number`, `ordered` or `category`.
        num_features_: G.
    """

    def fit(self, columns: Sequence[Column]) -> "TableEncoder":
        """Learn the kinds of the columns, and what stands for missing cells."""
        self.levels_ = [column.levels for column in columns]
        self.kinds_ = [_kind(column) for column in columns]
        numbers, categories = self._split(columns)
        self.numbers_ = make_pipeline(_Scale(), _imputer("median")).fit(numbers) if numbers.size else None
        self.categories_ = _category_encoder().fit(categories) if categories.size else None
        self.num_features_ = self.transform(
            [column._replace(cells=column.cells[:1]) for column in columns]
        ).shape[1]
        return self

    def transform(self, columns: Sequence[Column]) -> np.ndarray:
        """(N, G) float32, all finite: the numbers, their gaps, then the categories and theirs."""
        numbers, categories = self._split(columns)
        parts = []
        if self.numbers_ is not None:
            parts.append(self.numbers_.transform(numbers))
        if self.categories_ is not None:
            parts.append(self.categories_.transform(categories))
        return np.hstack(parts).astype(np.float32)

    def _split(self, columns: Sequence[Column]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers as float64 with NaN, and categories as text with NaN, each (N, its columns)."""
        num_rows = len(columns[0].cells)
        numbers, categories = [], []
        for column, kind, levels in zip(columns, self.kinds_, self.levels_, strict=True):
            if kind == "category":
                categories.append(_as_categories(column))
            elif kind == "ordered":
                places = {level: float(place) for place, level in enumerate(levels)}
                numbers.append(np.array([_place(cell, places) for cell in column.cells]))
            else:
                numbers.append(_as_numbers(column))
        return (
            np.column_stack(numbers) if numbers else np.empty((num_rows, 0)),
            np.column_stack(categories) if categories else np.empty((num_rows, 0), dtype=object),
        )


class _Scale(BaseEstimator):
    """Huge, tiny and far-off columns brought to where float32 can tell their cells apart; infinities placed.

    An infinity counts as a cell that lies as far beyond the column's last number as that is from its first.
    """

    def fit(self, X: np.ndarray, y: None = None) -> "_Scale":
        finite = np.isfinite(X)
        size = np.max(np.abs(X), axis=0, where=finite, initial=0)
        exponent = np.frexp(size)[1]
        self.exponent_ = np.where((size == 0) | (np.abs(exponent) <= PLAIN_EXPONENT), 0, exponent)
        X = np.ldexp(X, -self.exponent_)
        some = finite.any(axis=0)
        low = np.where(some, np.min(X, axis=0, where=finite, initial=np.inf), 0)
        high = np.where(some, np.max(X, axis=0, where=finite, initial=-np.inf), 0)
        width = high - low
        is_far = np.maximum(np.abs(low), np.abs(high)) > PLAIN_OFFSET * width
        self.offset_ = np.where(is_far, low, 0)
        width = np.where(width > 0, width, np.maximum(np.abs(high), 1))
        self.low_, self.high_ = low - width - self.offset_, high + width - self.offset_
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):  # a cell far beyond the training rows, which is cut below
            scaled = np.clip(np.ldexp(X, -self.exponent_) - self.offset_, -FARTHEST, FARTHEST)
        scaled = np.where(np.isposinf(X), self.high_, scaled)
        return np.where(np.isneginf(X), self.low_, scaled)


def _category_encoder() -> Pipeline:
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    return make_pipeline(encoder, _imputer("most_frequent"))


def _imputer(strategy: str) -> SimpleImputer:
    return SimpleImputer(strategy=strategy, add_indicator=True, keep_empty_features=True)


def _kind(column: Column) -> str:
    if column.levels is not None:
        return "ordered"
    if column.cells.dtype != object:
        return "number"
    return "number" if all(_number(cell, column.name) is not None for cell in column.cells) else "category"


def _as_numbers(column: Column) -> np.ndarray:
    if column.cells.dtype != object:
        return column.cells
    numbers = (_number(cell, column.name) for cell in column.cells)
    return np.array([math.nan if number is None else number for number in numbers], dtype=np.float64)


def _as_categories(column: Column) -> np.ndarray:
    cells = np.empty(len(column.cells), dtype=object)
    for i, cell in enumerate(column.cells):
        number = _number(cell, column.name)
        is_missing = number is not None and math.isnan(number)
        cells[i] = math.nan if is_missing else _text(cell)
    return cells


def _text(cell: Any) -> str:
    """Of a category; 1, 1.0 and True read alike, so that a column is the same whoever stores it."""
    if isinstance(cell, bytes):
        return cell.decode(errors="replace")
    if isinstance(cell, bool | np.bool_):
        return str(bool(cell))
    if isinstance(cell, Number) and float(cell).is_integer():
        return str(int(cell))
    return str(cell)


def _place(cell: Any, places: dict[Any, float]) -> float:
    try:
        return places.get(cell, math.nan)
    except TypeError:
        return math.nan


def _number(cell: Any, name: str) -> float | None:
    """What a cell is as a number: NaN where it is missing, None where it is no number.

    Raises:
        TypeError: a cell that holds other things than text, numbers and dates.
    """
    if cell is None:
        return math.nan
    if isinstance(cell, float):  # numpy's float64 is one
        return cell
    if isinstance(cell, str | bytes):
        return _number_in_text(cell.decode(errors="replace") if isinstance(cell, bytes) else cell)
    if isinstance(cell, datetime.date):  # a datetime is one, and so are pandas' time stamps
        return _days(cell)
    if isinstance(cell, datetime.timedelta):
        return math.nan if cell != cell else cell / datetime.timedelta(days=1)  # NaT differs from itself
    if isinstance(cell, np.datetime64 | np.timedelta64):
        unit = "datetime64[us]" if isinstance(cell, np.datetime64) else "timedelta64[us]"
        return math.nan if np.isnat(cell) else float(cell.astype(unit).astype(np.int64)) / DAY_IN_MICROSECONDS
    if isinstance(cell, datetime.time):
        return (cell.hour * 3600 + cell.minute * 60 + cell.second + cell.microsecond / 1e6) / 86_400
    if isinstance(cell, complex | np.complexfloating):
        raise ValueError(f"Complex data not supported: column {name!r} holds {cell!r}")
    if isinstance(cell, Number | np.bool_):
        try:
            return float(cell)
        except OverflowError:
            return math.inf if cell > 0 else -math.inf
        except ValueError:  # Decimal's signalling NaN
            return math.nan
    if type(cell).__name__ in ("NAType", "NaTType"):  # pandas' marks of a missing cell
        return math.nan
    if isinstance(cell, Hashable) and not isinstance(cell, tuple):
        return None  # pandas' periods and intervals, identifiers: their text is a category
    raise TypeError(
        f"argument must be a string or a number: column {name!r} of X holds a {type(cell).__name__}: "
        f"{str(cell)[:60]!r}; make columns of what it holds"
    )


def _number_in_text(text: str) -> float | None:
    text = text.strip()
    if not text:
        return math.nan
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return _days(datetime.datetime.fromisoformat(text))
    except ValueError:
        return None


def _days(date: datetime.date) -> float:
    """Since 1970, in UTC where it has a time zone."""
    if date != date:  # pandas' NaT
        return math.nan
    if not isinstance(date, datetime.datetime):
        date = datetime.datetime(date.year, date.month, date.day)
    date = date.replace(tzinfo=datetime.UTC) if date.tzinfo is None else date
    return (date - EPOCH) / datetime.timedelta(days=1)
