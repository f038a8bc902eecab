"""The two tables of `nanotabpfn predict`, read from CSV or Parquet.

Cells of CSV files are read as text. A column becomes numbers where all its cells in both files are numbers:
the same text is the same cell in both. Other columns are left to the estimator, which knows the marks of
missing cells, percent and thousands.
"""

import csv
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.utils.multiclass import type_of_target

from nanotabpfn.estimators.cell_parsing import NA_VALUES, decimal_mark, is_date, number_in_text
from nanotabpfn.evaluation.pandas_import import import_pandas
from priors.console import PlainError

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = (",", ";", "\t", "|")
"""Of columns in a CSV; the one that cuts its first line into most fields is taken, the first of equals."""


class Layout(NamedTuple):
    """How the CSV files are written; None: as the file shows."""

    separator: str | None
    decimal: str | None
    encoding: str
    na_values: list[str] | None


class Tables(NamedTuple):
    """What is learned from, and what is predicted."""

    x: "pd.DataFrame"
    y: "pd.Series"
    x_test: "pd.DataFrame"


def read_tables(train_file: Path, target: str, test_file: Path, layout: Layout, problem: str) -> Tables:
    """The features and the target of the one table, and the same features of the other.

    Args:
        problem: classification or regression.

    Raises:
        PlainError: a file that cannot be read, a column that is lacking, or a target that cannot be one.
    """
    train, test = _read(train_file, layout), _read(test_file, layout)
    if target not in train.columns:
        known = ", ".join(map(str, train.columns[:20]))
        raise PlainError(f"--target: {train_file} has no column {target!r}, but {known}")
    features = [name for name in train.columns if name != target]
    if not features or not len(test):
        raise PlainError(
            f"{train_file if not features else test_file}: needs rows, and columns other than the target"
        )
    lacking = [repr(name) for name in features if name not in test.columns]
    if lacking:
        raise PlainError(f"{test_file} lacks columns that {train_file} has: {', '.join(lacking)}")
    as_text = [frame for frame, file in ((train, train_file), (test, test_file)) if is_csv(file)]
    for name in features:
        numbers = [_numbers(frame[name], layout.decimal) for frame in as_text]
        if not any(found is None for found in numbers):
            for frame, found in zip(as_text, numbers, strict=True):
                frame[name] = found
    y = _without_marks(train[target], layout) if is_csv(train_file) else train[target]
    return Tables(train[features], _read_target(train_file, y, problem), test[features])


def _numbers(texts: "pd.Series", decimal: str | None) -> "pd.Series | None":
    """A column of text as numbers, NaN where it is empty; None if another cell is no plain number."""
    if decimal == ",":
        if texts.str.contains(".", regex=False).any():
            return None  # points may separate thousands
        texts = texts.str.replace(",", ".", regex=False)
    numbers = import_pandas("predict").to_numeric(texts, errors="coerce")
    return numbers if (numbers.isna() == texts.isna()).all() else None


def _without_marks(y: "pd.Series", layout: Layout) -> "pd.Series":
    """A target of numbers, missing where it has a mark of missing cells; other targets as they are.

    `None` may be a label among texts, and labels such as 007 stay text.
    """
    marks = NA_VALUES if layout.na_values is None else ()  # the user's own were read as missing
    present = y.mask(y.str.strip().str.lower().isin(marks))
    numbers = _numbers(present, layout.decimal)
    if numbers is None or present.isna().all():
        return y
    return present if present.str.fullmatch(r"\s*0\d+\s*").any() else numbers


def _read_target(file: Path, y: "pd.Series", problem: str) -> "pd.Series":
    """The target without missing labels; in regression also numbers that are written as text."""
    if y.isna().any():
        raise PlainError(f"{file}: {y.isna().sum()} of {len(y)} rows have no {y.name!r}; leave them out")
    if problem == "classification":
        if type_of_target(y) == "continuous":
            raise PlainError(f"--target: {y.name!r} holds real numbers; --problem regression predicts such")
        return y
    texts = [cell for cell in y if isinstance(cell, str)]
    if len(texts) < len(y):
        return y
    date = next(filter(is_date, texts), None)
    if date is not None:
        raise PlainError(f"--target: {y.name!r} holds dates, such as {date!r}, and not numbers")
    mark = decimal_mark(texts)
    numbers = [number_in_text(text, mark) for text in texts]
    if None in numbers:
        raise PlainError(
            f"--target: {y.name!r} holds {numbers.count(None)} texts that are no numbers, such as "
            f"{texts[numbers.index(None)]!r}; --problem classification predicts texts"
        )
    return import_pandas("predict").Series(numbers, y.index, name=y.name)


def check_suffix(path: Path) -> None:
    """Refuse a file that is neither CSV nor Parquet.

    Raises:
        PlainError: naming the endings.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise PlainError(f"{path}: must end in .csv or .parquet")


def is_csv(path: Path) -> bool:
    """Whether a file is CSV by its ending."""
    return path.suffix.lower() == ".csv"


def _read(path: Path, layout: Layout) -> "pd.DataFrame":
    """A table with the spaces around the names of its columns removed.

    Raises:
        PlainError: a file that cannot be read, or two columns of one name.
    """
    check_suffix(path)
    pd = import_pandas("predict", "pyarrow")
    try:
        frame = _read_csv(pd, path, layout) if is_csv(path) else pd.read_parquet(path)
    except UnicodeDecodeError as error:
        raise PlainError(
            f"{path}: is not text in {layout.encoding}; --encoding cp1252 or latin-1 reads files of older "
            "programs, utf-16 those of some spreadsheets"
        ) from error
    except LookupError as error:
        raise PlainError(f"--encoding: {error}") from error
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors are among them
        raise PlainError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    _check_names(path, frame.columns.map(str))
    frame.columns = frame.columns.map(str).str.strip()
    return frame


def _read_csv(pd: Any, path: Path, layout: Layout) -> "pd.DataFrame":
    encoding = "utf-8-sig" if layout.encoding.lower() in ("utf-8", "utf8") else layout.encoding
    with path.open(encoding=encoding, newline="") as file:
        first_line = file.readline()
        separator = layout.separator or max(SEPARATORS, key=lambda mark: len(_fields(first_line, mark)))
    names = _fields(first_line, separator)
    _check_names(path, [name for name in names if name.strip()])
    if len(names) == 1:
        _check_lines(path, encoding)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of fields that no column takes
            return pd.read_csv(
                path,
                sep=separator,
                encoding=encoding,
                index_col=False,  # a separator at the end of each row does not make the first field its name
                dtype=str,
                keep_default_na=False,  # of pandas, in which `None` is missing: here it may be a category
                na_values=["", *(layout.na_values or ())],
                skipinitialspace=True,
                low_memory=False,
            )
    except pd.errors.ParserWarning as warning:
        raise PlainError(
            f"{path}: its rows have more fields than its first line has names; name every column"
        ) from warning


def _check_lines(path: Path, encoding: str) -> None:
    """Refuse a blank line between the rows of one column: a missing cell, or no row at all?"""
    with path.open(encoding=encoding, newline="") as file:
        rows = list(csv.reader(file))
    is_blank = [row == [] or (row[0] != "" and not row[0].strip()) for row in rows]
    while is_blank and is_blank[-1]:
        is_blank.pop()
    if True in is_blank:
        raise PlainError(
            f"{path}: row {is_blank.index(True)} of its one column is a blank line; "
            'write "" for a missing cell, or remove the line'
        )


def _fields(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def _check_names(path: Path, names: Sequence[str]) -> None:
    names = [name.strip() for name in names]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PlainError(f"{path}: has {names.count(twice)} columns named {twice!r}; rename all but one")
