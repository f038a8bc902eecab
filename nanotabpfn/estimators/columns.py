"""Tables of any kind, split into columns that are checked against those of `fit`, as scikit-learn does.

Axis letters: N rows, F columns.
"""

from typing import Any, NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data

from nanotabpfn.estimators.cell_parsing import DAY_IN_MICROSECONDS


class Column(NamedTuple):
    """A column as it was read: numbers, or cells of any kind, with their order where they have one.

    Examples:
        >>> Column("price", np.array([1.5, np.nan])).levels is None
        True
    """

    name: str
    cells: np.ndarray  # (N,) float64 with NaN where missing, or objects
    levels: tuple[Any, ...] | None = None  # of ordered categories, lowest first
    dates: bool = False  # whether the numbers are dates, in days since 1970


def read_table(estimator: BaseEstimator, X: Any, *, reset: bool) -> list[Column]:
    """The columns of X, checked as scikit-learn's `validate_data` does; sets
    `n_features_in_`, `feature_names_in_` where all names are text, and `column_names_` of a frame.

    Columns in another order than in `fit` are put into that order by their names.

    Args:
        estimator: that the attributes are set on (`reset`) or compared with, and which messages name.
        X: a pandas, polars or pyarrow frame, or what numpy makes a two-dimensional array of.
        reset: in `fit`.

    Raises:
        ValueError: no rows or columns, other columns than in `fit`, two of one name, complex numbers.
        TypeError: a sparse matrix or a lazy frame.

    Examples:
        >>> columns = read_table(BaseEstimator(), [[1, 2.5], [3, 4.5]], reset=True)
        >>> [(column.name, column.cells.tolist()) for column in columns]
        [('0', [1.0, 3.0]), ('1', [2.5, 4.5])]
    """
    if nw.dependencies.is_into_dataframe(X):
        return _read_frame(estimator, X, reset)
    if hasattr(X, "collect_schema") or nw.dependencies.is_polars_lazyframe(X):
        raise TypeError(f"X must be a table in memory, got a {type(X).__name__}; call its collect()")
    if isinstance(X, np.ma.MaskedArray):
        X = _without_mask(X)
    # One array for all columns: numbers stay numbers, all else becomes objects.
    kind = getattr(getattr(X, "dtype", None), "kind", None)
    if kind is None:
        kind = "O" if _holds_other_than_numbers(X) else "f"
    dates = kind == "M"
    if kind in "mM":
        X = np.where(np.isnat(X), np.nan, X.astype(f"{np.dtype(X.dtype).kind}8[us]").astype(np.float64))
        X = X / DAY_IN_MICROSECONDS
    dtype = np.float64 if kind in "biufcmM" else object
    X = validate_data(estimator, X, dtype=dtype, ensure_all_finite=False, reset=reset)
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:  # an array in `fit`, or SHAP has set it to None to be free of warnings
        names = range(X.shape[1])
    return [Column(str(name), X[:, i], dates=dates) for i, name in enumerate(names)]


def _without_mask(X: np.ma.MaskedArray) -> np.ndarray:
    """An array in which masked cells are missing."""
    kind = X.dtype.kind
    if kind in "mM":
        return X.filled(np.array("NaT", X.dtype))
    if kind in "biuf":
        return X.astype(np.float64).filled(np.nan)
    return np.where(np.ma.getmaskarray(X), None, X.data.astype(object))


def _holds_other_than_numbers(X: Any) -> bool:
    """Whether lists, or what can be made an array, hold other things than numbers."""
    try:
        return np.asarray(X).dtype.kind not in "biufc"
    except (TypeError, ValueError):
        return False  # validate_data raises the error


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
    if reset:
        estimator.column_names_ = list(frame.columns)
    else:
        frame = _in_fitted_order(frame, getattr(estimator, "column_names_", None))
    validate_data(estimator, frame.to_native(), skip_check_array=True, reset=reset)
    return [_read_series(series) for series in frame.iter_columns()]


def _in_fitted_order(frame: nw.DataFrame, fitted: list[Any] | None) -> nw.DataFrame:
    """The columns in the order of `fit`.

    Names that are not all text are compared here: scikit-learn compares text alone.

    Raises:
        ValueError: other names than in `fit`, of which one is not text.
    """
    if fitted is None:  # an array in `fit`
        return frame
    if fitted == frame.columns:
        return frame
    if set(fitted) == set(frame.columns):
        return frame.select([nw.col(name) for name in fitted])
    if not all(isinstance(name, str) for name in (*fitted, *frame.columns)):
        raise ValueError(
            f"X must have the columns of fit, {fitted[:8]} (in any order), got {frame.columns[:8]}"
        )
    return frame


def _read_series(series: nw.Series) -> Column:
    name, dtype = str(series.name), series.dtype
    if dtype.is_numeric() and dtype != nw.Decimal:
        return Column(name, _to_float(series))
    if dtype in (nw.Date, nw.Datetime):
        series = series.cast(nw.Datetime("us")) if dtype == nw.Date else series
        return Column(name, _to_float(series.dt.timestamp("us")) / DAY_IN_MICROSECONDS, dates=True)
    if dtype == nw.Duration:
        return Column(name, _to_float(series.dt.total_microseconds()) / DAY_IN_MICROSECONDS)
    cells = np.empty(len(series), dtype=object)
    cells[:] = series.to_list()
    levels = tuple(dtype.categories) if dtype == nw.Enum else None
    return Column(name, cells, levels)


def _to_float(series: nw.Series) -> np.ndarray:
    return np.array(series.cast(nw.Float64).to_numpy(), dtype=np.float64)  # a copy, NaN where missing
